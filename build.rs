//! Tells the program when it was built: no clock that is right shows an earlier time. And leaves out of the static
//! program what it never reads.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// No tables for unwinding, and none of the library that reads them: where it is asked for a backtrace, a call without
/// any effect takes its place. The startup files keep their tables: they refer to them.
const NO_UNWINDING: &str = "\
_Unwind_Backtrace = getpid;
_Unwind_FindEnclosingFunction = getpid;
_Unwind_GetCFA = getpid;
_Unwind_GetDataRelBase = getpid;
_Unwind_GetIP = getpid;
_Unwind_GetIPInfo = getpid;
_Unwind_GetLanguageSpecificData = getpid;
_Unwind_GetRegionStart = getpid;
_Unwind_GetTextRelBase = getpid;
_Unwind_Resume = abort;
_Unwind_SetGR = abort;
_Unwind_SetIP = abort;
SECTIONS {
  /DISCARD/ : {
    *(EXCLUDE_FILE(*crtbegin*.o *crtend*.o) .eh_frame)
    *(.eh_frame_hdr)
    *(.gcc_except_table .gcc_except_table.*)
  }
}
INSERT AFTER .text;
";

fn main() {
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rerun-if-changed=Cargo.toml");
    println!("cargo:rustc-env=CHARIOTD_BUILT={}", built());
    if is_static_release() && linker_is_a_compiler() {
        make_small();
    }
}

fn built() -> u64 {
    let given = env::var("SOURCE_DATE_EPOCH").ok();
    let given = given.and_then(|text| text.trim().parse::<u64>().ok());
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    };
    given.unwrap_or_else(|| now().as_secs())
}

/// A release aborts where it panics, so nothing unwinds. 32-bit ARM keeps other tables, and is left as it is.
fn is_static_release() -> bool {
    let is = |name: &str, values: &[&str]| env::var(name).is_ok_and(|it| values.contains(&&*it));
    is("PROFILE", &["release"])
        && is("CARGO_CFG_TARGET_ENV", &["musl"])
        && is("CARGO_CFG_TARGET_ARCH", &["x86_64", "aarch64"])
}

/// The arguments below are for one. Whoever has named a linker itself gets a program that works, and is larger.
fn linker_is_a_compiler() -> bool {
    let linker = env::var_os("RUSTC_LINKER").map(PathBuf::from);
    let name = linker.as_deref().and_then(Path::file_stem);
    name.is_none_or(|name| !name.to_string_lossy().ends_with("ld"))
}

/// Short relocations, which the C library's start applies itself; a linker that does not know them goes on without.
fn make_small() {
    let dir = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    let script = dir.join("no-unwinding.ld");
    fs::write(&script, NO_UNWINDING).expect("OUT_DIR can be written");
    for argument in [
        "-Wl,-z,pack-relative-relocs".to_owned(),
        "-Wl,--no-eh-frame-hdr".to_owned(),
        format!("-T{}", script.display()),
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
