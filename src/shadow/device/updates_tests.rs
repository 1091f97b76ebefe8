use super::*;

fn put(dir: &std::path::Path, name: &str) {
    for part in ["tmp", "new"] {
        std::fs::create_dir_all(dir.join(part)).unwrap();
    }
    std::fs::write(dir.join("tmp").join(name), "1").unwrap();
    std::fs::rename(dir.join("tmp").join(name), dir.join("new").join(name)).unwrap();
}

async fn open(dir: &std::path::Path) -> Updates {
    let (disks, _working) = Disks::new();
    Updates::open(&[dir.to_owned()], &disks).await.unwrap()
}

/// Waits until a file can be taken.
async fn arrival(updates: &mut Updates) {
    while updates.action_dirs[0].readiness() == Readiness::Nothing {
        let notice = updates.notice().await;
        updates.noticed(notice);
    }
}

/// All that is handed out until nothing more is at present, at least for its owner's next step.
async fn handed_out(updates: &mut Updates) -> Vec<UpdateFile> {
    let mut all = updates.take();
    while !updates.ready[0].is_empty() || !updates.opening[0].is_empty() {
        if updates.is_ready().is_none() {
            let notice = updates.notice().await;
            updates.noticed(notice);
        }
        all.extend(updates.take());
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_postponed_file_comes_back_after_its_rest() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "net.1");
    let mut updates = open(dir.path()).await;
    arrival(&mut updates).await;
    let taken = handed_out(&mut updates).await;
    assert_eq!(taken.len(), 1);
    updates.postpone(&taken[0].id, "net", "disk full".into());
    tokio::time::advance(Duration::from_millis(2050)).await;
    let again = handed_out(&mut updates).await;
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
    for n in 0..MOST_WAITING {
        put(dir.path(), &format!("broken.{n:03}"));
    }
    put(dir.path(), "led.1");
    let mut updates = open(dir.path()).await;
    arrival(&mut updates).await;
    let mut led = false;
    for _ in 0..20 {
        // As its owner does, until there is nothing more at present.
        loop {
            let taken = handed_out(&mut updates).await;
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
    put(dir.path(), "net.1");
    let mut updates = open(dir.path()).await;
    arrival(&mut updates).await;
    let first = handed_out(&mut updates).await;
    updates.postpone(&first[0].id, "net", "disk full".into());
    tokio::time::advance(Duration::from_millis(1500)).await;
    put(dir.path(), "net.2");
    arrival(&mut updates).await;
    let mut order = Vec::new();
    for _ in 0..20 {
        let taken = handed_out(&mut updates).await;
        order.extend(taken.into_iter().map(|it| it.id.name.to_string()));
        tokio::time::advance(Duration::from_millis(500)).await;
    }
    assert_eq!(order, ["net.1", "net.2"]);
}
