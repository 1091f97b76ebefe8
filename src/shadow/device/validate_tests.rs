use super::*;
use crate::format::Format;
use crate::shadow::device::service::Output;
use serde_json::json;

fn service(text: &str) -> Service {
    let script = Script {
        file: "net.js".into(),
        sources: Arc::new([("net.js".to_owned(), text.to_owned())].into()),
    };
    Service {
        file: "net.js".into(),
        key: "net".into(),
        output: Output::Ephemeral,
        informat: Format::Json,
        notify: "true".into(),
        notify_keys: None,
        initial_notify: false,
        timeout: Duration::from_secs(5),
        validation: Validation::Script(Arc::new(script)),
    }
}

#[tokio::test]
async fn a_call_that_never_ends_is_left_and_a_second_one_disables_the_validation() {
    // Within one step of the interpreter, for some seconds.
    let service = service(
        "exports.validate = (config) => {
            if (config.hang) 'a'.repeat(4e4).indexOf('a'.repeat(2e4) + 'b');
        }",
    );
    let mut validator = Validator::new(Duration::from_secs(60));
    let (hang, good) = (json!({"hang": true}), json!({"hang": false}));
    for _ in 0..MOST_ABANDONED {
        validator.patience = Duration::from_secs(60);
        let verdict = validator.verdict(&service, good.clone()).await;
        assert_eq!(verdict.unwrap(), Verdict::Accepted(good.clone()));
        validator.patience = Duration::from_millis(50);
        let verdict = validator.verdict(&service, hang.clone()).await.unwrap();
        assert!(matches!(&verdict, Verdict::Failed(why) if why.contains("did not end")));
    }
    let why = validator.verdict(&service, good.clone()).await.unwrap_err();
    assert!(why.to_string().contains("until SIGHUP"), "{why}");
    validator.enable();
    validator.patience = Duration::from_secs(60);
    let verdict = validator.verdict(&service, good.clone()).await;
    assert_eq!(verdict.unwrap(), Verdict::Accepted(good));
}
