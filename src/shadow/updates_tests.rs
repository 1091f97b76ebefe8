use super::*;

fn put(dir: &std::path::Path, name: &str) {
    std::fs::write(dir.join("tmp").join(name), "1").unwrap();
    std::fs::rename(dir.join("tmp").join(name), dir.join("new").join(name)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_postponed_file_comes_back_after_its_rest() {
    let dir = tempfile::tempdir().unwrap();
    let mut updates = Updates::open(&[dir.path().to_owned()]).unwrap();
    put(dir.path(), "net.1");
    let notice = updates.notice().await;
    updates.noticed(notice).await;
    let taken = updates.take();
    assert_eq!(taken.len(), 1);
    updates.postpone(&taken[0].id, "net", "disk full".into());
    tokio::time::advance(Duration::from_millis(2050)).await;
    let again = updates.take();
    assert_eq!(
        again.len(),
        1,
        "it is handed out, and nobody has to ask again and again"
    );
    assert_eq!(updates.deadline(), None);
}

#[tokio::test(start_paused = true)]
async fn files_of_a_service_that_cannot_write_do_not_keep_others_away() {
    let dir = tempfile::tempdir().unwrap();
    let mut updates = Updates::open(&[dir.path().to_owned()]).unwrap();
    for n in 0..MOST_WAITING {
        put(dir.path(), &format!("broken.{n:03}"));
    }
    put(dir.path(), "led.1");
    let notice = updates.notice().await;
    updates.noticed(notice).await;
    let mut led = false;
    for _ in 0..20 {
        // As its owner does, until there is nothing more at present.
        loop {
            let taken = updates.take();
            if taken.is_empty() {
                break;
            }
            for update in taken {
                if update.key == "led" {
                    led = true;
                    updates.settle(&update.id, Outcome::Delivered);
                } else {
                    updates.postpone(&update.id, "broken", "disk full".into());
                }
            }
        }
        tokio::time::advance(Duration::from_millis(2200)).await;
    }
    assert!(led, "led.1 was never taken");
}

#[tokio::test(start_paused = true)]
async fn files_of_a_key_keep_their_order_although_some_were_postponed() {
    let dir = tempfile::tempdir().unwrap();
    let mut updates = Updates::open(&[dir.path().to_owned()]).unwrap();
    put(dir.path(), "net.1");
    let notice = updates.notice().await;
    updates.noticed(notice).await;
    let first = updates.take();
    updates.postpone(&first[0].id, "net", "disk full".into());
    tokio::time::advance(Duration::from_millis(1500)).await;
    put(dir.path(), "net.2");
    let notice = updates.notice().await;
    updates.noticed(notice).await;
    let mut order = Vec::new();
    for _ in 0..20 {
        order.extend(updates.take().into_iter().map(|it| it.id.name.to_string()));
        tokio::time::advance(Duration::from_millis(500)).await;
    }
    assert_eq!(order, ["net.1", "net.2"]);
}
