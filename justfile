# Short names for what a developer does often. `just` without a name lists them.

[private]
default:
    @{{just_executable()}} --list

# The checks that decide what lands, or only some: `just check format clippy`
check *STEPS:
    .ci/run {{STEPS}}

# All tests, and none may be skipped
test:
    .ci/run tests

# The daemon against a local AWS IoT Core, to play with
demo:
    cargo run --example demo

# What docs/PERFORMANCE.md has: the daemon beside the bare disk and the bare wire, or only some sections of that
bench *SECTIONS:
    cargo build --release --target x86_64-unknown-linux-musl
    cargo run --release -p chariotd-bench -- {{SECTIONS}}

# The source in the form that `just check format` wants
fmt:
    cargo fmt --all
