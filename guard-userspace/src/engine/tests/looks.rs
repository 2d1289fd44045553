//! When trees are looked at.

use super::scene::Scene;
use super::*;

fn looks(scene: &Scene) -> usize {
    let all = scene.permits.iter();
    all.filter(|permit| *permit.action() == Action::Look)
        .count()
}

#[test]
fn a_look_that_came_to_nothing_is_not_tried_again_at_once() {
    let config = TargetConfig::of(
        crate::config::TargetSource::Container("metamcp".to_owned()),
        crate::config::Profile::Metamcp,
    );
    let mut scene = Scene::guarded(config);
    scene.live(20);
    assert_eq!(looks(&scene), 1);
    let failed = || {
        let kind = OutcomeKind::Failed("no thread".to_owned());
        InputKind::Outcome(Outcome::of("look", kind))
    };
    scene.feed(failed());
    scene.feed(InputKind::Tick);
    assert_eq!(looks(&scene), 1);
    scene.wait_ms(5_001);
    scene.feed(InputKind::Tick);
    assert_eq!(looks(&scene), 2);
    scene.feed(InputKind::Evidence(crate::model::Evidence::default()));
    scene.wait_ms(10_001);
    scene.feed(InputKind::Tick);
    assert_eq!(looks(&scene), 3, "what was seen once is forgotten");
}
