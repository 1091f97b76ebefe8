//! Pure: a variable as a line that a shell reads back exactly.

use super::text::Text;

/// Appends `name='value'` or `name=('a' 'b')`.
pub fn line(name: &str, text: &Text, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.push(b'=');
    match text {
        Text::One(text) => quoted(text, out),
        Text::Many(items) => array(items, out),
    }
    out.push(b'\n');
}

fn array(items: &[String], out: &mut Vec<u8>) {
    out.push(b'(');
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.push(b' ');
        }
        quoted(item, out);
    }
    out.push(b')');
}

/// Nothing is special between single quotes, except the single quote: it ends them, stands escaped,
/// and begins them again.
fn quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'\'');
    out.extend_from_slice(text.replace('\'', r"'\''").as_bytes());
    out.push(b'\'');
}
