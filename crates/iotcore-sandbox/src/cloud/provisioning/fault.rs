//! Pure: the fault script of fleet provisioning. It is asked at each stage of a request and answers what goes wrong.

use std::time::Duration;

use super::garbage::ProvisioningGarbage;
use super::rejection::ProvisioningRejection;
use super::topic::ProvisioningOperation;
use crate::pki::CertificateKind;

/// Something that goes wrong with requests to fleet provisioning. At each stage of a request the first matching fault
/// fires; so one answer may be garbled and delayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvisioningFault {
    pub what: ProvisioningTrouble,
    /// Which requests; `None` for all of them.
    pub operation: Option<ProvisioningOperation>,
    /// How often it fires; `None` for always.
    pub times: Option<u32>,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProvisioningTrouble {
    /// The request is not carried out, but rejected like this.
    Reject(ProvisioningRejection),
    /// The request is neither carried out nor answered.
    Ignore,
    /// The certificate that is issued is of this kind.
    Issue(CertificateKind),
    /// The request is carried out, but answered with this rejection. Fires when a request would be accepted.
    RejectAfterwards(ProvisioningRejection),
    /// The request is carried out or rejected, and the answer is garbled like this.
    Garble(ProvisioningGarbage),
    /// The request is carried out or rejected, and never answered.
    Withhold,
    /// The answer is published this much later, on this machine's clock; not at all if the device's connection has ended
    /// by then.
    Delay(Duration),
}

impl ProvisioningFault {
    /// Fires each time.
    pub fn always(what: ProvisioningTrouble) -> ProvisioningFault {
        ProvisioningFault {
            what,
            operation: None,
            times: None,
        }
    }

    /// Fires the first time only.
    pub fn once(what: ProvisioningTrouble) -> ProvisioningFault {
        ProvisioningFault::always(what).times(1)
    }

    /// Fires this many times.
    pub fn times(self, times: u32) -> ProvisioningFault {
        ProvisioningFault {
            times: Some(times),
            ..self
        }
    }

    /// Fires for these requests only.
    pub fn on(self, operation: ProvisioningOperation) -> ProvisioningFault {
        ProvisioningFault {
            operation: Some(operation),
            ..self
        }
    }
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProvisioningStage {
    Arrived,
    /// A certificate is about to be issued.
    Issuing,
    CarriedOut,
    /// The answer is about to be written.
    Composed,
    /// The answer is about to be published.
    Answered,
}

/// The faults that have not fired yet.
#[derive(Default)]
pub(super) struct ProvisioningFaultScript(Vec<ProvisioningFault>);

impl ProvisioningFaultScript {
    pub(super) fn add(&mut self, fault: ProvisioningFault) {
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What goes wrong now. A fault that has fired as often as it should is removed.
    pub(super) fn at(
        &mut self,
        stage: ProvisioningStage,
        operation: ProvisioningOperation,
    ) -> Option<ProvisioningTrouble> {
        let fits = |fault: &ProvisioningFault| {
            fault.what.stage() == stage
                && fault.times != Some(0)
                && fault.operation.is_none_or(|only| only == operation)
        };
        let fault = self.0.iter_mut().find(|fault| fits(fault))?;
        let what = fault.what.clone();
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        self.0.retain(|fault| fault.times != Some(0));
        Some(what)
    }
}

impl ProvisioningTrouble {
    fn stage(&self) -> ProvisioningStage {
        match self {
            ProvisioningTrouble::Reject(_) | ProvisioningTrouble::Ignore => {
                ProvisioningStage::Arrived
            }
            ProvisioningTrouble::Issue(_) => ProvisioningStage::Issuing,
            ProvisioningTrouble::RejectAfterwards(_) => ProvisioningStage::CarriedOut,
            ProvisioningTrouble::Garble(_) => ProvisioningStage::Composed,
            ProvisioningTrouble::Withhold | ProvisioningTrouble::Delay(_) => {
                ProvisioningStage::Answered
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_fires_where_and_as_often_as_it_says() {
        let mut script = ProvisioningFaultScript::default();
        let ignore = ProvisioningFault::always(ProvisioningTrouble::Ignore).times(2);
        script.add(ignore.on(ProvisioningOperation::Register));
        let mut check = |stage, operation, fires: bool| {
            let what = script.at(stage, operation);
            assert_eq!(what.is_some(), fires, "{stage:?} {operation}");
        };
        check(
            ProvisioningStage::Answered,
            ProvisioningOperation::Register,
            false,
        );
        check(
            ProvisioningStage::Arrived,
            ProvisioningOperation::Create,
            false,
        );
        check(
            ProvisioningStage::Arrived,
            ProvisioningOperation::Register,
            true,
        );
        check(
            ProvisioningStage::Arrived,
            ProvisioningOperation::Register,
            true,
        );
        check(
            ProvisioningStage::Arrived,
            ProvisioningOperation::Register,
            false,
        );
    }

    #[test]
    fn one_answer_may_be_garbled_and_withheld() {
        let mut script = ProvisioningFaultScript::default();
        let garble = ProvisioningTrouble::Garble(ProvisioningGarbage::NotJson);
        script.add(ProvisioningFault::once(garble.clone()));
        script.add(ProvisioningFault::once(ProvisioningTrouble::Withhold));
        let create = ProvisioningOperation::Create;
        assert_eq!(script.at(ProvisioningStage::Composed, create), Some(garble));
        assert_eq!(
            script.at(ProvisioningStage::Answered, create),
            Some(ProvisioningTrouble::Withhold)
        );
    }
}
