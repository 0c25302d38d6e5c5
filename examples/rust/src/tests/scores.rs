//! Scores against log-softmax of the rows of logits.
use super::*;

/// Log-probabilities of a row.
fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let max = f64::from(logits.iter().copied().fold(f32::MIN, f32::max));
    let sum: f64 = logits.iter().map(|x| (f64::from(*x) - max).exp()).sum();
    let norm = max + sum.ln();
    logits.iter().map(|x| f64::from(*x) - norm).collect()
}

fn score_item<'a>(sequence: &'a Sequence, tokens: &'a [i32], n_prefix: usize) -> ScoreItem<'a> {
    ScoreItem {
        sequence,
        tokens,
        n_prefix,
    }
}

#[test]
fn scores_are_of_the_rows() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let n_vocab = model.info().n_vocab as usize;
    let class: Vec<bool> = (0..n_vocab).map(|id| id % 3 == 0 || id == 8).collect();
    let params = ScoreParams {
        n_likeliest: 3,
        class: class.clone(),
    };
    let mut session = model.session(2).unwrap();
    let first = session.first();
    let scored = session
        .score(&[score_item(&first, &ids, 2)], &params)
        .unwrap();
    assert_eq!(session.ids(&first).unwrap(), &ids[..ids.len() - 1]);
    assert_eq!(scored.len(), 1);
    assert_eq!(scored[0].len(), ids.len() - 2);

    let mut session = model.session(1).unwrap();
    session.forward(&ids[..1]).unwrap();
    for (score, at) in scored[0].iter().zip(2..) {
        let logits = session.forward(&ids[at - 1..at]).unwrap();
        let row = log_softmax(logits);
        let own = ids[at] as usize;
        assert_eq!(score.id, ids[at]);
        assert!((score.logprob - row[own]).abs() < 1e-5);
        let rank = 1 + logits.iter().filter(|x| **x > logits[own]).count();
        assert_eq!(score.rank, rank as i32);
        let entropy: f64 = row.iter().map(|x| -x * x.exp()).sum();
        assert!((score.entropy - entropy).abs() < 1e-5);
        let ids = (0..n_vocab).filter(|id| class[*id]);
        let in_class: f64 = ids.map(|id| row[id].exp()).sum();
        assert!((score.class_prob - in_class).abs() < 1e-5);
        let mut best: Vec<usize> = (0..n_vocab).collect();
        best.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
        assert_eq!(score.likeliest.len(), 3);
        for (likely, id) in score.likeliest.iter().zip(best) {
            assert_eq!(likely.id, id as i32);
            assert!((f64::from(likely.logprob) - row[id]).abs() < 1e-5);
        }
    }
}

#[test]
fn scores_of_ones_own_logits() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let n_vocab = model.info().n_vocab as usize;
    let params = ScoreParams {
        n_likeliest: 4,
        class: (0..n_vocab).map(|id| id % 5 == 0).collect(),
    };
    let mut session = model.session(1).unwrap();
    let first = session.first();
    let item = score_item(&first, &ids, ids.len() - 1);
    let scored = session.score(&[item], &params).unwrap();
    let mut other = model.session(1).unwrap();
    let logits = other.forward(&ids[..ids.len() - 1]).unwrap().to_vec();
    let own = ids[ids.len() - 1];
    let score = session.score_logits(&logits, own, &params).unwrap();
    assert_eq!(score, scored[0][0]); // the same bits
    assert_eq!(score.likeliest.len(), 4);
    let best = score.likeliest[0].id;
    let plain = session
        .score_logits(&logits, best, &Default::default())
        .unwrap();
    assert_eq!((plain.id, plain.rank), (best, 1));
    assert_eq!((plain.class_prob, plain.likeliest.len()), (0.0, 0));

    let mut fails = |logits: &[f32], token, params: &ScoreParams, status, words: &str| {
        let error = session.score_logits(logits, token, params).unwrap_err();
        assert_eq!(error.status, status, "{error}");
        assert!(error.line.contains(words), "{error}");
    };
    let plain = ScoreParams::default();
    let many = ScoreParams {
        n_likeliest: n_vocab + 1,
        ..Default::default()
    };
    let short = ScoreParams {
        class: vec![true; n_vocab - 1],
        ..Default::default()
    };
    fails(&logits, -1, &plain, -2, "token is -1");
    fails(&vec![f32::NAN; n_vocab], 0, &plain, -80, "NaN");
    fails(&logits, 0, &many, status::ARGUMENT, "n_likeliest");
    fails(&logits, 0, &short, status::ARGUMENT, "class has");
    fails(&logits[1..], 0, &plain, status::ARGUMENT, "logits, wanted");
}

#[test]
fn forks_are_scored_together() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let ways = [[ids[5], 7, 8, 9], [ids[5], 7, 9, 10]];
    let alone = ways.map(|way| {
        let (mut session, text) = (model.session(1).unwrap(), [&ids[..5], &way].concat());
        let first = session.first();
        let item = score_item(&first, &text, 6);
        session
            .score(&[item], &Default::default())
            .unwrap()
            .remove(0)
    });
    let params = SessionParams {
        n_logit_rows: 64,
        ..many(3)
    };
    let mut session = model.session_with(&params).unwrap();
    session.forward(&ids[..5]).unwrap();
    let forks = [(); 2].map(|()| session.fork(&session.first(), 5).unwrap());
    let items = [0, 1].map(|i| score_item(&forks[i], &ways[i], 1));
    let scores = session.score(&items, &Default::default()).unwrap();
    assert!(scores == alone);
    assert!(scores[0][0] == scores[1][0]);
    assert_eq!(
        (scores[0][0].class_prob, scores[0][0].likeliest.len()),
        (0.0, 0)
    );
    assert_eq!(
        session.ids(&forks[0]).unwrap(),
        [&ids[..5], &ways[0][..3]].concat()
    );
    assert_eq!(session.logits(0).unwrap_err().status, -4);
}

#[test]
fn wrong_items_are_refused() {
    let model = Model::load(MODEL).unwrap();
    let mut session = model.session(1).unwrap();
    let (first, ids) = (session.first(), prompt(&model));
    let n_vocab = model.info().n_vocab;
    let mut fails = |tokens: &[i32], n_prefix, params: &ScoreParams, status, words: &str| {
        let error = session
            .score(&[score_item(&first, tokens, n_prefix)], params)
            .unwrap_err();
        assert_eq!(error.status, status, "{error}");
        assert!(error.line.contains(words), "{error}");
    };
    let with = |n_likeliest, n_class| ScoreParams {
        n_likeliest,
        class: vec![true; n_class],
    };
    let plain = ScoreParams::default();
    fails(&ids, 0, &plain, status::ARGUMENT, "n_prefix is 0");
    fails(&ids, ids.len(), &plain, status::ARGUMENT, "n_prefix is");
    fails(&ids, usize::MAX, &plain, status::ARGUMENT, "n_prefix is");
    fails(&ids[..1], 1, &plain, status::ARGUMENT, "n_tokens is 1");
    fails(&[], 0, &plain, status::ARGUMENT, "n_tokens is 0");
    fails(&[1, n_vocab], 1, &plain, -2, &n_vocab.to_string());
    fails(
        &ids,
        1,
        &with(n_vocab as usize + 1, 0),
        status::ARGUMENT,
        "n_likeliest",
    );
    fails(
        &ids,
        1,
        &with(usize::MAX, 0),
        status::ARGUMENT,
        "n_likeliest",
    );
    fails(
        &ids,
        1,
        &with(0, n_vocab as usize - 1),
        status::ARGUMENT,
        "class has",
    );
    let error = session.score(&[], &plain).unwrap_err();
    assert_eq!(error.status, status::ARGUMENT);
    assert_eq!(session.position(), 0);
    let stranger = model.session(1).unwrap().first();
    let error = session
        .score(&[score_item(&stranger, &ids, 1)], &plain)
        .unwrap_err();
    assert_eq!(error.status, status::SEQUENCE);
}
