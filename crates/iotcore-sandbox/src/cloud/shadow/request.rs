//! Pure: a request to a shadow, readable or not, as it is given to the request handler.

use serde_json::Value;

use super::answer::{self, AnswerContext};
use super::name::{ShadowName, ShadowOperation};
use super::publication::Publication;
use super::rejection::ShadowRejection;
use crate::broker::Moment;

/// Who requests what of which shadow, and when.
#[derive(Clone)]
pub(super) struct ShadowRequest {
    pub name: ShadowName,
    pub operation: ShadowOperation,
    /// `None` for an operator.
    pub client: Option<String>,
    pub content: Result<Value, ShadowRejection>,
    pub at: Moment,
}

impl ShadowRequest {
    pub(super) fn content(&self) -> Result<&Value, ShadowRejection> {
        self.content.as_ref().map_err(Clone::clone)
    }

    /// The content that an answer may repeat; null if it is unreadable.
    pub(super) fn echo(&self) -> &Value {
        self.content.as_ref().unwrap_or(&Value::Null)
    }

    pub(super) fn rejected(&self, rejection: &ShadowRejection) -> Publication {
        let content = match &self.content {
            Ok(content) => AnswerContext::of(content, self.at.cloud).rejected(rejection),
            Err(_) => answer::of_unreadable(rejection),
        };
        Publication::rejected(self.operation, rejection.code, content)
    }
}
