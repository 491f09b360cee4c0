//! Every lesson's own solution turns all of its steps green.

use cluster::{Setup, World};
use sim::{Duration, Seed};
use std::fs;
use std::path::Path;

#[test]
fn solutions_hold() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lessons");
    let mut lessons: Vec<_> =
        fs::read_dir(dir).expect("lessons/ is there").filter_map(Result::ok).map(|e| e.path()).collect();
    lessons.sort();
    assert!(!lessons.is_empty());
    for path in lessons {
        let id = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let text = fs::read_to_string(path.join("lesson.yaml")).expect("a lesson has its lesson.yaml");
        let lesson = lesson::Lesson::parse(&id, &text).unwrap_or_else(|e| panic!("{id}: {e}"));
        // As the page has them.
        let mut setup = Setup::default_cluster();
        setup.settings.book_mode = true;
        let mut w = World::new(Seed(5), setup);
        w.run_until(w.now() + Duration::from_secs(5));
        lesson::run(&lesson, &mut w, Duration::from_secs(300)).unwrap_or_else(|e| panic!("{id}: {e}"));
    }
}
