//! Devices that show the broker no certificate.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use iotcore_sandbox::{Authorizer, Builder, Sandbox};

use super::Device;

pub const KEY_ID: &str = "AKIDEXAMPLE";
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub const SESSION_TOKEN: &str = "AQoDYXdz/+==token";
pub const PASSWORD: &str = "s3cr3t/+ Wort";

/// A file of this device that nobody else may read.
pub fn secret(device: &Device, name: &str, contents: &str) -> PathBuf {
    let file = device.path(name);
    // Replaced as a whole, as the manual advises.
    let next = device.path(&format!(".{name}"));
    fs::write(&next, contents).expect("a file");
    fs::set_permissions(&next, Permissions::from_mode(0o600)).expect("its mode");
    fs::rename(next, &file).expect("a rename");
    file
}

/// A file with access keys, as AWS's tools write it.
pub fn keys_file(device: &Device, id: &str, secret_key: &str, token: &str) -> PathBuf {
    let text = format!(
        "[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret_key}\naws_session_token = {token}\n"
    );
    secret(device, "aws", &text)
}

pub fn with_keys(builder: Builder) -> Builder {
    builder.access_key(KEY_ID, SECRET, Some(SESSION_TOKEN))
}

/// Without a certificate store, and the endpoint by option.
pub fn anonymous(sandbox: &Sandbox) -> Device {
    let mut device = Device::bare(sandbox.pki());
    device.without("--certstore");
    device.option("--endpoint", format!("localhost:{}", sandbox.wss_port()));
    device
}

/// It has the access keys of [`with_keys`] in a file.
pub fn signing(sandbox: &Sandbox) -> Device {
    let mut device = anonymous(sandbox);
    let file = keys_file(&device, KEY_ID, SECRET, SESSION_TOKEN);
    device.option("--transport", "wss");
    device.option("--region", "eu-west-1");
    device.option("--aws-credentials-file", file.display());
    device
}

/// It has a certificate, and asks the credential provider for access keys.
pub fn borrowing(sandbox: &Sandbox) -> Device {
    let mut device = Device::at(sandbox.pki(), sandbox.wss_port());
    let provider = format!("localhost:{}", sandbox.credential_port());
    device.option("--transport", "wss");
    device.option("--region", "eu-west-1");
    device.option("--credential-provider", provider);
    device.option("--role-alias", "device");
    device
}

/// It checks user name, password, token and signature.
pub fn authorizer(name: &str) -> Authorizer {
    use iotcore_sandbox::example::{PUBLIC_KEY, TOKEN};
    let authorizer = Authorizer::new(name).token_key("tok").token(TOKEN);
    let authorizer = authorizer.signed_by(PUBLIC_KEY).expect("a public key");
    authorizer.username("pump & co").password(PASSWORD)
}

/// Shows the authoriser of [`authorizer`] what it wants.
pub fn authorized(sandbox: &Sandbox, name: &str) -> Device {
    use iotcore_sandbox::example::{SIGNATURE, TOKEN};
    let mut device = anonymous(sandbox);
    let password = secret(&device, "password", &format!("{PASSWORD}\n"));
    let token = secret(&device, "token", &format!("{TOKEN}\n"));
    let signature = secret(&device, "signature", SIGNATURE);
    device.option("--authorizer", name);
    device.option("--authorizer-username", "pump & co");
    device.option("--authorizer-password-file", password.display());
    device.option("--authorizer-token-key", "tok");
    device.option("--authorizer-token-file", token.display());
    device.option("--authorizer-signature-file", signature.display());
    device
}
