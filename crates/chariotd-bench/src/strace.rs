//! Pure: what strace with times says about durable steps.

/// Calls that make something outlive a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Durable {
    pub syncs: usize,
    pub renames: usize,
}

/// Those from a moment, in seconds since 1970, to the next program that is started.
pub fn durable(trace: &str, start: f64) -> Durable {
    let mut durable = Durable::default();
    for call in trace.lines().filter_map(|line| call(line, start)) {
        match call {
            "execve" => break,
            name if name.ends_with("sync") => durable.syncs += 1,
            _ => durable.renames += 1,
        }
    }
    durable
}

/// `PID TIME NAME(...`, but not the second half of a call that was interrupted by another thread's.
fn call(line: &str, start: f64) -> Option<&str> {
    let mut words = line.split_whitespace().skip(1);
    let time: f64 = words.next()?.parse().ok()?;
    let (name, _) = words.next()?.split_once('(')?;
    let counts = ["execve", "fsync", "fdatasync"].contains(&name) || name.starts_with("rename");
    (time >= start && counts).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "\
10 100.000001 execve(\"/bin/chariotd\", [\"chariotd\"], 0x7 /* 3 vars */) = 0
11 100.500000 fsync(9)                  = 0
11 101.000001 fsync(9 <unfinished ...>
10 101.000002 rename(\"a\", \"b\")        = 0
11 101.000003 <... fsync resumed>)      = 0
10 101.000004 fdatasync(3)              = 0
12 101.000005 execve(\"/bin/sh\", [\"sh\"], 0x7 /* 3 vars */) = 0
11 101.000006 renameat2(3, \"a\", 3, \"b\", 0) = 0
";

    #[test]
    fn calls_count_between_the_change_and_its_command() {
        let expected = Durable {
            syncs: 2,
            renames: 1,
        };
        assert_eq!(durable(TRACE, 101.0), expected);
    }

    #[test]
    fn what_comes_after_the_last_command_counts_to_the_end() {
        let expected = Durable {
            syncs: 0,
            renames: 1,
        };
        assert_eq!(durable(TRACE, 101.0000055), expected);
    }
}
