//! Pure: what is recorded about fleet provisioning.

use std::fmt;

use super::topic::ProvisioningOperation;

/// A request of a device to fleet provisioning, or something that came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvisioningEvent {
    pub operation: ProvisioningOperation,
    pub kind: ProvisioningKind,
    /// Whose request it is.
    pub client_id: String,
    /// The template that a registration names.
    pub template: Option<String>,
    /// The certificate that was issued, registered or deleted.
    pub certificate_id: Option<String>,
    /// The thing that was registered.
    pub thing: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProvisioningKind {
    /// A request came.
    Request,
    /// A certificate was issued. It cannot connect yet.
    Issued,
    /// The device has become a thing, and its certificate what the template says: active, in general.
    Registered,
    /// It was answered that the request was carried out.
    Accepted,
    /// It was answered that the request was refused, with this status.
    Rejected(u16),
    /// Something was published instead of the answer.
    Garbled,
    /// The request was neither carried out nor will it be answered, says the fault script.
    Ignored,
    /// The answer will not be given, says the fault script.
    Withheld,
    /// A late answer found its device gone.
    Dropped,
    /// A certificate that nobody registered in time was deleted.
    Deleted,
}

impl fmt::Display for ProvisioningEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "provisioning: {} {}", self.operation, self.kind)?;
        if let Some(template) = &self.template {
            write!(f, ", template {template}")?;
        }
        if let Some(thing) = &self.thing {
            write!(f, ", thing {thing}")?;
        }
        if let Some(id) = &self.certificate_id {
            write!(f, ", certificate {id}")?;
        }
        write!(f, " (for {})", self.client_id)
    }
}

impl fmt::Display for ProvisioningKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProvisioningKind::Request => write!(f, "asked"),
            ProvisioningKind::Issued => write!(f, "issued a certificate"),
            ProvisioningKind::Registered => write!(f, "registered a thing"),
            ProvisioningKind::Accepted => write!(f, "accepted"),
            ProvisioningKind::Rejected(status) => write!(f, "rejected with {status}"),
            ProvisioningKind::Garbled => write!(f, "garbled"),
            ProvisioningKind::Ignored => write!(f, "ignored"),
            ProvisioningKind::Withheld => write!(f, "not answered"),
            ProvisioningKind::Dropped => write!(f, "answered too late"),
            ProvisioningKind::Deleted => write!(f, "came to nothing, certificate deleted"),
        }
    }
}
