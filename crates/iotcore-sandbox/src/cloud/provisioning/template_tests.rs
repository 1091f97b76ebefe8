use serde_json::json;

use super::*;

fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn a_thing_is_called_after_its_parameters() {
    let check = |expression: &str, expected: Result<&str, &str>| {
        let template = Template::new("t").thing(expression);
        let said = parameters(&[("SerialNumber", "7"), ("Site", "plant-3"), ("odd", "a/b")]);
        let rendered = template.render(&said, "cafe");
        let found = rendered.as_ref().map(|rendered| rendered.thing.as_str());
        let found = found.map_err(|rejection| rejection.message.as_str());
        assert_eq!(found, expected, "{expression}");
    };
    check("device-{SerialNumber}", Ok("device-7"));
    check("{Site}_{SerialNumber}", Ok("plant-3_7"));
    check("pump", Ok("pump"));
    check("{AWS::IoT::Certificate::Id}", Ok("cafe"));
    check("{Nothing}", Err("Parameter 'Nothing' is missing."));
    check("{odd}", Err("'a/b' is not a thing name."));
    check("", Err("'' is not a thing name."));
    let long = "x".repeat(129);
    check(&long, Err(&format!("'{long}' is not a thing name.")));
    check(&long[1..], Ok(&long[1..]));
}

#[test]
fn a_configuration_is_filled_in() {
    let configuration = json!({ "url": "https://{Site}/{SerialNumber}", "json": "{\"a\": {}}" });
    let template = Template::default().configuration(configuration);
    let said = parameters(&[("SerialNumber", "7"), ("Site", "example.test")]);
    let rendered = template.render(&said, "cafe").unwrap();
    let expected = [("json", "{\"a\": {}}"), ("url", "https://example.test/7")];
    assert_eq!(rendered.configuration, parameters(&expected));
    let nowhere = parameters(&[("SerialNumber", "7")]);
    assert_eq!(template.render(&nowhere, "cafe").unwrap_err().status, 400);
}

#[test]
fn parameters_are_required_or_have_defaults() {
    let template = Template::new("t").parameter("a").parameter_or("b", "two");
    let complete = |pairs: &[(&str, &str)]| template.complete(parameters(pairs));
    assert_eq!(
        complete(&[("a", "1"), ("c", "3")]).unwrap(),
        parameters(&[("a", "1"), ("b", "two"), ("c", "3")])
    );
    assert_eq!(
        complete(&[("a", "1"), ("b", "2")]).unwrap(),
        parameters(&[("a", "1"), ("b", "2")])
    );
    let refused = complete(&[("b", "2")]).unwrap_err();
    assert_eq!(refused.message, "Parameter 'a' is missing.");
}

#[test]
#[should_panic(expected = "not a string")]
fn a_configuration_has_strings_only() {
    drop(Template::default().configuration(json!({ "nested": {} })));
}
