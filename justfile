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

# How long a change in the cloud takes to reach the notify command
bench:
    cargo run --release --example latency

# The source in the form that `just check format` wants
fmt:
    cargo fmt --all
