//! Everything that the options say about one shadow, put together.

use super::problems::Problems;
use super::split::shadow_and_path;
use super::values::trimmed;
use crate::cli::Cli;
use crate::shadow::{Rules, ShadowId, ShadowOptions};

/// Resolves `--services`, `--updates` and `--defaultshadow`. Wrong values become problems.
pub fn resolve(cli: &Cli, problems: &mut Problems) -> Vec<ShadowOptions> {
    let rules = Rules {
        empty_array_deletes: cli.empty_array_as_delete_request,
    };
    let mut shadows = Shadows {
        rules,
        all: Vec::new(),
    };
    for (id, dir) in read("services", &cli.services, problems) {
        shadows.of(id).services.push(trimmed(&dir).into());
    }
    for (id, dir) in read("updates", &cli.updates, problems) {
        shadows.of(id).updates.push(trimmed(&dir).into());
    }
    for (id, command) in read("defaultshadow", &cli.defaultshadow, problems) {
        shadows.of(id).default_shadow = Some(command);
    }
    shadows.all
}

struct Shadows {
    rules: Rules,
    all: Vec<ShadowOptions>,
}

impl Shadows {
    fn of(&mut self, id: ShadowId) -> &mut ShadowOptions {
        let index = self.all.iter().position(|shadow| shadow.id == id);
        let index = index.unwrap_or_else(|| {
            self.all.push(ShadowOptions {
                id,
                services: Vec::new(),
                updates: Vec::new(),
                default_shadow: None,
                rules: self.rules,
            });
            self.all.len() - 1
        });
        &mut self.all[index]
    }
}

fn read(option: &str, values: &[String], problems: &mut Problems) -> Vec<(ShadowId, String)> {
    values
        .iter()
        .filter_map(|value| {
            shadow_and_path(value)
                .map_err(|why| problems.add(option, value, &why))
                .ok()
        })
        .collect()
}
