//! Pure: the address of a key in a token, RFC 7512: `pkcs11:token=T;object=K?module-path=M&pin-source=P`.
//! What would not be looked at is refused, so that no key is used that was not meant.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How each of them begins.
pub const SCHEME: &str = "pkcs11:";
const LONGEST: usize = 4096;
const PATH: &str = "token, serial, manufacturer, model, slot-id, object, id and type";
const QUERY: &str = "module-path, module-name and pin-source";

/// Which key it is and where. Without a PIN: one that has `pin-value` is not read.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct KeyUri {
    pub token: Option<String>,
    pub serial: Option<String>,
    pub manufacturer: Option<String>,
    pub model: Option<String>,
    pub slot_id: Option<u64>,
    /// The key's label.
    pub object: Option<String>,
    /// The key's id.
    pub id: Option<Vec<u8>>,
    pub module_path: Option<PathBuf>,
    pub module_name: Option<String>,
    /// The file with the PIN.
    pub pin_source: Option<PathBuf>,
}

/// Whether a text means a key in a token, and not a file.
pub fn is_key_uri(text: &str) -> bool {
    let start = text.as_bytes().get(..SCHEME.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(SCHEME.as_bytes()))
}

impl FromStr for KeyUri {
    type Err = String;

    /// The reason never repeats a value: it may be a PIN.
    fn from_str(text: &str) -> Result<KeyUri, String> {
        if !is_key_uri(text) {
            return Err(format!("does not begin with {SCHEME}"));
        }
        if text.len() > LONGEST {
            return Err(format!("is longer than {LONGEST} bytes"));
        }
        let rest = &text[SCHEME.len()..];
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = KeyUri::default();
        for part in path.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = attribute(part)?;
            uri.path_attribute(name, &value)?;
        }
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = attribute(part)?;
            uri.query_attribute(name, &value)?;
        }
        uri.whole()
    }
}

impl KeyUri {
    fn path_attribute(&mut self, name: &str, value: &[u8]) -> Result<(), String> {
        match name {
            "token" => once(name, &mut self.token, text(name, value)?),
            "serial" => once(name, &mut self.serial, text(name, value)?),
            "manufacturer" => once(name, &mut self.manufacturer, text(name, value)?),
            "model" => once(name, &mut self.model, text(name, value)?),
            "object" => once(name, &mut self.object, text(name, value)?),
            "id" if value.is_empty() => Err("has an empty id".to_owned()),
            "id" => once(name, &mut self.id, value.to_owned()),
            "slot-id" => match text(name, value)?.parse() {
                Ok(slot) => once(name, &mut self.slot_id, slot),
                Err(_) => Err("has a slot-id that is not a number".to_owned()),
            },
            "type" if value == b"private" => Ok(()),
            "type" => Err("has a type other than private, which a key to sign with has".to_owned()),
            "pin-value" => Err(pin_value()),
            "module-path" | "module-name" | "pin-source" => Err(format!(
                "has {name} before the '?', it belongs behind it: {SCHEME}token=…;object=…?{name}=…"
            )),
            _ => Err(unknown(name)),
        }
    }

    fn query_attribute(&mut self, name: &str, value: &[u8]) -> Result<(), String> {
        match name {
            "module-path" => {
                let path = absolute(name, text(name, value)?)?;
                once(name, &mut self.module_path, path)
            }
            "module-name" => {
                let module = text(name, value)?;
                if module.contains('/') {
                    return Err("has a module-name with a '/', use module-path".to_owned());
                }
                once(name, &mut self.module_name, module)
            }
            "pin-source" => {
                let source = text(name, value)?;
                once(name, &mut self.pin_source, pin_file(&source)?)
            }
            "pin-value" => Err(pin_value()),
            _ => Err(unknown(name)),
        }
    }

    fn whole(self) -> Result<KeyUri, String> {
        if self.module_path.is_none() && self.module_name.is_none() {
            return Err(format!(
                "says nothing of the vendor's module, add it: {SCHEME}token=…;object=…?module-path=/usr/lib/…/libsofthsm2.so"
            ));
        }
        if self.module_path.is_some() && self.module_name.is_some() {
            return Err("has both module-path and module-name, use one".to_owned());
        }
        // It goes to the helper as it is written here, with more of it percent-encoded.
        if self.to_string().len() > LONGEST {
            return Err(format!("is longer than {LONGEST} bytes when it is encoded"));
        }
        Ok(self)
    }

    /// The same token, another key.
    pub fn with_key(&self, label: &str, id: &[u8]) -> KeyUri {
        KeyUri {
            object: Some(label.to_owned()),
            id: Some(id.to_owned()),
            ..self.clone()
        }
    }

    /// The token, as a person would call it.
    pub fn token_name(&self) -> String {
        let named = [
            ("token", self.token.clone()),
            ("serial", self.serial.clone()),
            ("manufacturer", self.manufacturer.clone()),
            ("model", self.model.clone()),
            ("slot-id", self.slot_id.map(|slot| slot.to_string())),
        ];
        listed(named, "any token")
    }

    /// The key, as a person would call it.
    pub fn key_name(&self) -> String {
        let id = self.id.as_deref().map(hex);
        listed([("object", self.object.clone()), ("id", id)], "any key")
    }
}

fn listed<const N: usize>(named: [(&str, Option<String>); N], none: &str) -> String {
    let named = named
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} '{}'", value?.escape_debug())));
    let all = named.collect::<Vec<_>>().join(", ");
    if all.is_empty() { none.to_owned() } else { all }
}

/// The bytes of an id for a person.
pub fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pin_value() -> String {
    "has pin-value, which everybody can see in the list of processes; write the PIN to a file of mode 600 and use pin-source=file:/…".to_owned()
}

/// It may be a part of a PIN: only what looks like a name is repeated.
fn unknown(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let shown = if name.len() <= 24 && name.chars().all(fits) {
        format!("'{name}'")
    } else {
        "an attribute".to_owned()
    };
    format!("has {shown}, which is not looked at; before the '?' are {PATH}, behind it {QUERY}")
}

fn once<T>(name: &str, place: &mut Option<T>, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("has {name} twice")),
    }
}

fn attribute(part: &str) -> Result<(&str, Vec<u8>), String> {
    let (name, value) = part
        .split_once('=')
        .ok_or_else(|| "has a part without '=', each is NAME=VALUE, and a ';', '&' or '?' in a value is written as %3B, %26 or %3F".to_owned())?;
    let value = decoded(value).ok_or_else(|| {
        let name = if name.len() <= 24 {
            name
        } else {
            "an attribute"
        };
        format!(
            "has a '%' in {} that no two hexadecimal digits follow",
            name.escape_debug()
        )
    })?;
    Ok((name, value))
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    Some(bytes)
}

fn text(name: &str, value: &[u8]) -> Result<String, String> {
    match std::str::from_utf8(value) {
        Ok("") => Err(format!("has an empty {name}")),
        Ok(text) if text.contains('\0') => Err(format!("has a NUL in {name}")),
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(format!("has a {name} that is not UTF-8")),
    }
}

fn absolute(name: &str, path: String) -> Result<PathBuf, String> {
    if Path::new(&path).is_absolute() {
        Ok(path.into())
    } else {
        Err(format!(
            "has a {name} that is not absolute, write it from / on"
        ))
    }
}

fn pin_file(source: &str) -> Result<PathBuf, String> {
    if source.starts_with('|') {
        return Err(
            "has a command as pin-source, use a file of mode 600: pin-source=file:/…".to_owned(),
        );
    }
    let path = match source.strip_prefix("file:") {
        Some(path) => path.strip_prefix("//").unwrap_or(path),
        None => source,
    };
    absolute("pin-source", path.to_owned())
}

impl fmt::Display for KeyUri {
    /// So that it is read as the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = [
            ("token", self.token.as_deref().map(str::as_bytes)),
            ("serial", self.serial.as_deref().map(str::as_bytes)),
            (
                "manufacturer",
                self.manufacturer.as_deref().map(str::as_bytes),
            ),
            ("model", self.model.as_deref().map(str::as_bytes)),
            ("object", self.object.as_deref().map(str::as_bytes)),
            ("id", self.id.as_deref()),
        ];
        let mut parts: Vec<String> = path.into_iter().filter_map(encoded).collect();
        parts.extend(self.slot_id.map(|slot| format!("slot-id={slot}")));
        write!(f, "{SCHEME}{}", parts.join(";"))?;
        let source = self
            .pin_source
            .as_ref()
            .map(|path| format!("file:{}", path.display()));
        let module = self
            .module_path
            .as_ref()
            .map(|path| path.display().to_string());
        let query = [
            ("module-path", module.as_deref().map(str::as_bytes)),
            (
                "module-name",
                self.module_name.as_deref().map(str::as_bytes),
            ),
            ("pin-source", source.as_deref().map(str::as_bytes)),
        ];
        let parts: Vec<String> = query.into_iter().filter_map(encoded).collect();
        write!(f, "?{}", parts.join("&"))
    }
}

impl fmt::Debug for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn encoded((name, value): (&str, Option<&[u8]>)) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte);
    let mut text = format!("{name}=");
    for byte in value? {
        match byte {
            byte if name != "id" && plain(*byte) => text.push(char::from(*byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    Some(text)
}

#[cfg(test)]
#[path = "uri_tests.rs"]
mod tests;
