//! Taps, and rows of logits.
use super::*;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::mpsc;

/// Name, first row, shape, and the bits of all rows of a part.
type Part = (String, i32, [usize; 2], Vec<u32>);

fn part(tap: &Tap) -> Part {
    let rows = (0..tap.n_rows()).flat_map(|row| bits(tap.row(row)));
    let shape = [tap.n_rows(), tap.n_columns()];
    (tap.name(), tap.first_row(), shape, rows.collect())
}

#[test]
fn taps_see_the_forward_pass() {
    let model = Model::load(MODEL).unwrap();
    let (ids, info) = (prompt(&model), model.info());
    let (n_layer, n_head) = (info.n_layer as usize, info.n_head as usize);
    let mut session = model.session(1).unwrap();
    let (send, parts) = mpsc::channel();
    let see = move |tap: &mut Tap| {
        assert_eq!(tap.head().is_some(), tap.name().contains(".attn.probs"));
        assert_eq!(tap.layer().is_some(), tap.name().starts_with("h."));
        assert_eq!(tap.sequence(), 0);
        assert_eq!(tap.first_position(), tap.first_row() as usize);
        send.send(part(tap)).is_ok()
    };
    let kinds = [
        TapKind::AttnProbs,
        TapKind::Block,
        TapKind::Embed,
        TapKind::Logits,
    ];
    session.set_tap(&kinds, see).unwrap();
    let logits = bits(session.forward(&ids).unwrap());
    assert!(logits == alone(&model, KvType::F32, &ids)); // a tap that only looks changes nothing
    session.clear_tap().unwrap();
    session.forward(&[1]).unwrap();

    let parts: Vec<Part> = parts.iter().collect(); // the sender is dropped
    assert_eq!(parts.len(), 1 + n_layer * (n_head + 1) + 1);
    let (n, n_embd) = (ids.len(), info.n_embd as usize);
    assert_eq!((&parts[0].0[..], parts[0].2), ("embed", [n, n_embd]));
    assert_eq!((&parts[1].0[..], parts[1].2), ("h.0.attn.probs", [n, n]));
    let last = parts.last().unwrap();
    assert_eq!((&last.0[..], last.1), ("logits", n as i32 - 1));
    assert!(last.3 == logits);
    let blocks = parts.iter().filter(|part| part.0.ends_with(".block"));
    assert_eq!(blocks.count(), n_layer);
    for row in parts[1].3.chunks(n) {
        let sum: f32 = row.iter().map(|bits| f32::from_bits(*bits)).sum();
        assert!((sum - 1.0).abs() < 1e-5);
    }
}

#[test]
fn taps_change_activations() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let mut session = model.session(1).unwrap();
    // each row becomes the embedding of another text
    let (send, rows) = mpsc::channel();
    let keep =
        move |tap: &mut Tap| (0..tap.n_rows()).all(|row| send.send(tap.row(row).to_vec()).is_ok());
    session.set_tap(&[TapKind::Embed], keep).unwrap();
    session.forward(&ids).unwrap();
    session.reset().unwrap();
    let put = move |tap: &mut Tap| {
        (0..tap.n_rows()).for_each(|row| tap.row_mut(row).copy_from_slice(&rows.recv().unwrap()));
        true
    };
    session.set_tap(&[TapKind::Embed], put).unwrap();
    let others = vec![7; ids.len()];
    assert!(bits(session.forward(&others).unwrap()) == alone(&model, KvType::F32, &ids));
}

#[test]
fn taps_end_calls() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let mut session = model.session_with(&many(2)).unwrap();
    let (first, other) = (session.first(), session.sequence().unwrap());
    session.forward(&ids).unwrap();
    session
        .set_tap(&[TapKind::Block], |tap| tap.layer() != Some(1))
        .unwrap();
    let items = [item(&other, &ids, 1)];
    assert_eq!(session.forward(&[3]).unwrap_err().status, status::CANCELLED);
    let error = session.forward_batch(&items).unwrap_err();
    assert_eq!(error.status, status::CANCELLED);

    session
        .set_tap(&[TapKind::Block], |_| panic!("the tap's"))
        .unwrap();
    let mut generator = session.generator(&Default::default()).unwrap();
    let params = SampleParams::default();
    session
        .start(&mut generator, &other, &ids, None, &params)
        .unwrap();
    let scored = ScoreItem {
        sequence: &other,
        tokens: &ids,
        n_prefix: 1,
    };
    type Call<'a> = &'a mut dyn FnMut(&mut Session) -> Result<()>;
    let calls: [Call; 5] = [
        &mut |session| session.forward(&[3]).map(|_| ()),
        &mut |session| session.forward_rows(&[3], 1).map(|_| ()),
        &mut |session| session.forward_batch(&items).map(|_| ()),
        &mut |session| session.score(&[scored], &Default::default()).map(|_| ()),
        &mut |session| session.step(&mut generator).map(|_| ()),
    ];
    for call in calls {
        let panic = catch_unwind(AssertUnwindSafe(|| call(&mut session))).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"the tap's"));
    }
    let step = session.step(&mut generator).unwrap();
    assert_eq!(step.finish, Some(Finish::Cancelled));
    session.clear_tap().unwrap();
    assert_eq!(session.ids(&first).unwrap(), ids);
    assert_eq!(session.position_of(&other).unwrap(), 0);
    let wanted = alone(&model, KvType::F32, &[&ids[..], &[3]].concat());
    assert!(bits(session.forward(&[3]).unwrap()) == wanted);
}

#[test]
fn rows_outside_are_refused() {
    let model = Model::load(MODEL).unwrap();
    let mut session = model.session(1).unwrap();
    for beyond in [2, usize::MAX] {
        let outside = move |tap: &mut Tap| tap.row_mut(beyond).is_empty();
        session.set_tap(&[TapKind::Embed], outside).unwrap();
        let run = || session.forward(&[1, 2]).map(|_| ());
        let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        let line = panic.downcast_ref::<String>().unwrap();
        assert!(line.contains("wanted below 2"), "{line}");
    }
}

#[test]
fn rows_of_logits() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let params = SessionParams {
        n_logit_rows: 100,
        ..Default::default()
    };
    let mut session = model.session_with(&params).unwrap();
    for (n, wanted) in [(3, 3), (usize::MAX, ids.len()), (0, 0)] {
        session.reset().unwrap();
        let rows = session.forward_rows(&ids, n).unwrap();
        assert_eq!(rows.len(), wanted);
        for (row, end) in rows.iter().zip(ids.len() - wanted + 1..) {
            assert!(bits(row) == alone(&model, KvType::F32, &ids[..end]));
        }
    }
    let mut one = model.session(1).unwrap();
    let error = one.forward_rows(&ids, 2).unwrap_err();
    assert_eq!((error.status, one.position()), (status::ARGUMENT, 0));
}
