//! Pure: in place of the interpreter in a build without it.

use serde_json::Value;

use crate::shadow::device::definitions::Exported;
use crate::shadow::device::script::{Script, Verdict};

const ABSENT: &str = "this program was built without JavaScript, write the definition as .json";

/// # Errors
/// Always.
pub fn exported(_: &Script) -> Result<Exported, String> {
    Err(ABSENT.into())
}

/// Always [`Verdict::Failed`].
pub fn validate(_: &Script, _: &Value) -> Verdict {
    Verdict::Failed(ABSENT.into())
}
