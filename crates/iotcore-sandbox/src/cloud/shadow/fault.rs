//! Pure: the fault script of the shadow service. It is told which request is at which point and answers what goes wrong.

use std::time::Duration;

use super::name::{ShadowName, ShadowOperation};

/// Something that goes wrong with requests to shadows. At each point of a request the first fault that fits it fires; so
/// one that is rejected by the script may be answered late as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowFault {
    pub what: ShadowTrouble,
    /// Which requests; `None` for all of them.
    pub operation: Option<ShadowOperation>,
    /// How often it fires; `None` for always.
    pub times: Option<u32>,
}

/// What goes wrong. Only [`Shuffle`](ShadowTrouble::Shuffle) and [`StaleDelta`](ShadowTrouble::StaleDelta) concern
/// operators too, whose updates make the cloud publish as those of devices do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShadowTrouble {
    /// The request is not carried out, but rejected with this code, in AWS's words for it.
    Reject(u16),
    /// The request is neither carried out nor answered. It stays in flight.
    Ignore,
    /// The request is carried out and never answered; its `delta` and `documents` are published. It stays in flight.
    Withhold,
    /// The answer is published so much later, on this machine's clock; `delta` and `documents` are not. Until then the
    /// request is in flight.
    Delay(Duration),
    /// The request is carried out, and its answer published like this.
    Garble(Garbage),
    /// What one update makes the cloud publish comes in any order, each part possibly twice. The same seed makes the same
    /// of the same version.
    Shuffle(u64),
    /// With what an update makes the cloud publish comes an earlier delta of the same shadow, as it was. The seed chooses
    /// which. Waits until there is one.
    StaleDelta(u64),
}

/// What an answer can look like that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Garbage {
    /// The first half of the answer: not JSON.
    NotJson,
    /// Nothing but the client token.
    MembersMissing,
    /// Members of types that AWS never uses.
    WrongTypes,
    /// The right answer under somebody else's client token.
    OtherToken,
    /// The right answer without a client token.
    NoToken,
}

impl ShadowFault {
    /// Fires each time.
    pub fn always(what: ShadowTrouble) -> ShadowFault {
        ShadowFault {
            what,
            operation: None,
            times: None,
        }
    }

    /// Fires the first time only.
    pub fn once(what: ShadowTrouble) -> ShadowFault {
        ShadowFault::always(what).times(1)
    }

    /// Fires so many times.
    pub fn times(self, times: u32) -> ShadowFault {
        ShadowFault {
            times: Some(times),
            ..self
        }
    }

    /// Fires at these requests only.
    pub fn on(self, operation: ShadowOperation) -> ShadowFault {
        ShadowFault {
            operation: Some(operation),
            ..self
        }
    }
}

/// The point that a request has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has arrived from a device.
    Arrived,
    /// It is about to be answered to a device.
    Answered,
    /// The publications of an update are about to be ordered.
    Ordered,
    /// An earlier delta may join them.
    Joined,
}

/// The faults that are still to fire, each for one shadow or all.
#[derive(Default)]
pub(super) struct Script(Vec<(Option<ShadowName>, ShadowFault)>);

impl Script {
    pub(super) fn add(&mut self, name: Option<ShadowName>, fault: ShadowFault) {
        self.0.push((name, fault));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What goes wrong now. A fault that has fired often enough is forgotten.
    pub(super) fn at(
        &mut self,
        stage: Stage,
        name: &ShadowName,
        operation: ShadowOperation,
    ) -> Option<ShadowTrouble> {
        let fits = |(only, fault): &(Option<ShadowName>, ShadowFault)| {
            fault.what.stage() == stage
                && fault.times != Some(0)
                && only.as_ref().is_none_or(|only| only == name)
                && fault.operation.is_none_or(|only| only == operation)
        };
        let (_, fault) = self.0.iter_mut().find(|entry| fits(entry))?;
        let what = fault.what.clone();
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        self.0.retain(|(_, fault)| fault.times != Some(0));
        Some(what)
    }
}

impl ShadowTrouble {
    fn stage(&self) -> Stage {
        match self {
            ShadowTrouble::Reject(_) | ShadowTrouble::Ignore => Stage::Arrived,
            ShadowTrouble::Withhold | ShadowTrouble::Delay(_) | ShadowTrouble::Garble(_) => {
                Stage::Answered
            }
            ShadowTrouble::Shuffle(_) => Stage::Ordered,
            ShadowTrouble::StaleDelta(_) => Stage::Joined,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(thing: &str) -> ShadowName {
        ShadowName::new(thing, None).expect("a name")
    }

    #[test]
    fn a_fault_fires_where_and_as_often_as_it_says() {
        let mut script = Script::default();
        let reject = ShadowFault::always(ShadowTrouble::Reject(409)).times(2);
        script.add(Some(name("t")), reject.on(ShadowOperation::Update));
        let mut check = |stage, thing, operation, fires: bool| {
            let what = script.at(stage, &name(thing), operation);
            assert_eq!(what.is_some(), fires, "{stage:?} {thing} {operation:?}");
        };
        check(Stage::Answered, "t", ShadowOperation::Update, false);
        check(Stage::Arrived, "u", ShadowOperation::Update, false);
        check(Stage::Arrived, "t", ShadowOperation::Get, false);
        check(Stage::Arrived, "t", ShadowOperation::Update, true);
        check(Stage::Arrived, "t", ShadowOperation::Update, true);
        check(Stage::Arrived, "t", ShadowOperation::Update, false);
    }

    #[test]
    fn the_first_fault_that_fits_fires() {
        let mut script = Script::default();
        script.add(None, ShadowFault::once(ShadowTrouble::Ignore));
        script.add(None, ShadowFault::always(ShadowTrouble::Reject(500)));
        let mut fires = || script.at(Stage::Arrived, &name("t"), ShadowOperation::Get);
        assert_eq!(fires(), Some(ShadowTrouble::Ignore));
        assert_eq!(fires(), Some(ShadowTrouble::Reject(500)));
    }
}
