//! Pure: what is recorded about fleet provisioning.

use std::fmt;

use super::topic::ProvisioningOperation;

/// A request of a device to fleet provisioning, or a result of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvisioningEvent {
    pub operation: ProvisioningOperation,
    pub kind: ProvisioningKind,
    /// Who sent the request.
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
    /// A request arrived.
    Request,
    /// A certificate was issued. It cannot connect yet.
    Issued,
    /// The device was registered as a thing. Its certificate has the status of the template, in general active.
    Registered,
    /// The answer says that the request was carried out.
    Accepted,
    /// The answer says that the request was rejected, with this status.
    Rejected(u16),
    /// A garbled answer was published.
    Garbled,
    /// The fault script ignores the request: it is neither carried out nor answered.
    Ignored,
    /// The fault script withholds this answer.
    Withheld,
    /// The device disconnected before its delayed answer.
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
            ProvisioningKind::Request => write!(f, "requested"),
            ProvisioningKind::Issued => write!(f, "issued a certificate"),
            ProvisioningKind::Registered => write!(f, "registered a thing"),
            ProvisioningKind::Accepted => write!(f, "accepted"),
            ProvisioningKind::Rejected(status) => write!(f, "rejected with {status}"),
            ProvisioningKind::Garbled => write!(f, "garbled"),
            ProvisioningKind::Ignored => write!(f, "ignored"),
            ProvisioningKind::Withheld => write!(f, "not answered"),
            ProvisioningKind::Dropped => write!(f, "dropped, the device has disconnected"),
            ProvisioningKind::Deleted => write!(f, "expired, certificate deleted"),
        }
    }
}
