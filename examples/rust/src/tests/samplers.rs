//! What a draw is told, and what it tells.
use super::*;
use crate::sampling::DrawState;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{atomic::AtomicI64, atomic::Ordering, Arc};

#[test]
fn params_reach_the_draw() {
    let model = Model::load(MODEL).unwrap();
    let mut session = model.session(1).unwrap();
    session.forward(&[1]).unwrap();
    let greedy = SampleParams {
        temperature: 0.0,
        ..Default::default()
    };
    let first = session.sample(&greedy).unwrap();
    let banned = SampleParams {
        banned_ids: vec![first],
        ..greedy.clone()
    };
    let second = session.sample(&banned).unwrap();
    assert_ne!(first, second);
    let mut bias = vec![0.0; model.info().n_vocab as usize];
    bias[second as usize] = 100.0;
    for params in [
        SampleParams {
            allowed_ids: vec![second],
            ..Default::default()
        },
        SampleParams {
            bias,
            ..Default::default()
        },
        SampleParams {
            bias_ids: vec![second],
            bias_values: vec![100.0],
            ..Default::default()
        },
        SampleParams {
            history: vec![first],
            no_repeat_ngram_size: 1,
            ..greedy.clone()
        },
        SampleParams {
            history: vec![first],
            presence_penalty: 100.0,
            ..greedy.clone()
        },
    ] {
        assert_eq!(session.sample(&params).unwrap(), second);
    }
}

#[test]
fn all_numbers_reach_the_library() {
    let params = SampleParams {
        temperature: 1.0,
        top_k: 2,
        top_p: 3.0,
        seed: 4,
        stream: 5,
        position: Some(6),
        top_n_sigma: 7.0,
        min_p: 8.0,
        typical_p: 9.0,
        xtc_probability: 10.0,
        xtc_threshold: 11.0,
        mirostat_tau: 12.0,
        mirostat_eta: 13.0,
        penalty_window: 14,
        ignores_prompt: true,
        repetition_penalty: 15.0,
        frequency_penalty: 16.0,
        presence_penalty: 17.0,
        dry_multiplier: 18.0,
        dry_base: 19.0,
        dry_allowed_length: 20,
        no_repeat_ngram_size: 21,
        ..Default::default()
    };
    let state = DrawState::new(&params);
    let raw = params.raw(3, &state).unwrap();
    assert_eq!(
        raw.struct_size as usize,
        size_of::<raw::gpt2_sample_params>()
    );
    assert_eq!(
        (raw.top_k, raw.seed, raw.stream, raw.position),
        (2, 4, 5, 6)
    );
    assert_eq!((raw.penalty_window, raw.ignores_prompt), (14, 1));
    assert_eq!((raw.dry_allowed_length, raw.no_repeat_ngram_size), (20, 21));
    let floats = [
        raw.temperature,
        raw.top_p,
        raw.top_n_sigma,
        raw.min_p,
        raw.typical_p,
        raw.xtc_probability,
        raw.xtc_threshold,
        raw.mirostat_tau,
        raw.mirostat_eta,
        raw.repetition_penalty,
        raw.frequency_penalty,
        raw.presence_penalty,
        raw.dry_multiplier,
        raw.dry_base,
    ];
    let wanted = [1, 3, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19].map(|n: u8| f32::from(n));
    assert_eq!(floats, wanted);
    assert_eq!(unsafe { *raw.mirostat_mu }, 24.0);
    assert!(raw.history.is_null() && raw.bias.is_null() && raw.callback.is_none());
}

/// The logits after the prompt, and a session that has run it.
fn prepared(model: &Model) -> (Session, Vec<f32>) {
    let mut session = model.session(1).unwrap();
    let logits = session.forward(&prompt(model)).unwrap().to_vec();
    (session, logits)
}

#[test]
fn logits_of_ones_own() {
    let model = Model::load(MODEL).unwrap();
    let (mut session, logits) = prepared(&model);
    for seed in 0..20 {
        let sampling = SampleParams {
            seed,
            top_k: 50,
            position: Some(7),
            ..Default::default()
        };
        let drawn = session.sample(&sampling).unwrap();
        assert_eq!(session.sample_logits(&logits, &sampling).unwrap(), drawn);
        let candidates = session.sample_candidates(&logits, &sampling).unwrap();
        assert_eq!(candidates.len(), 50);
        assert!(candidates.iter().any(|candidate| candidate.id == drawn));
    }
    let all = session
        .sample_candidates(&logits, &Default::default())
        .unwrap();
    assert_eq!(all.len(), logits.len());
    let weight = |id: i32| f64::from(logits[id as usize]).exp();
    let total: f64 = (0..logits.len() as i32).map(weight).sum();
    for pair in all.windows(2) {
        assert!(logits[pair[0].id as usize] >= logits[pair[1].id as usize]);
        let probability = weight(pair[0].id) / total;
        assert!((f64::from(pair[0].probability) - probability).abs() < 1e-6);
    }
    for wrong in [&logits[1..], &[logits.clone(), vec![0.0]].concat(), &[]] {
        let params = SampleParams::default();
        let error = session.sample_logits(wrong, &params).unwrap_err();
        assert_eq!(error.status, status::ARGUMENT);
        let wanted = format!("there are {} logits, wanted {}", wrong.len(), logits.len());
        assert_eq!(error.line, wanted);
        let error = session.sample_candidates(wrong, &params).unwrap_err();
        assert_eq!(error.line, wanted);
    }
}

#[test]
fn lists_of_wrong_lengths_are_refused() {
    let model = Model::load(MODEL).unwrap();
    let (mut session, logits) = prepared(&model);
    for params in [
        SampleParams {
            bias: vec![0.0; logits.len() - 1],
            ..Default::default()
        },
        SampleParams {
            bias_ids: vec![1, 2],
            bias_values: vec![1.0],
            ..Default::default()
        },
    ] {
        let error = session.sample(&params).unwrap_err();
        assert_eq!(error.status, status::ARGUMENT);
        assert!(error.line.contains("wanted"), "{error}");
        let mut generator = session.generator(&Default::default()).unwrap();
        let first = session.first();
        let started = session.start(&mut generator, &first, &[1], None, &params);
        assert_eq!(started.unwrap_err(), error);
    }
}

#[test]
fn mirostat_keeps_its_state_in_the_params() {
    let model = Model::load(MODEL).unwrap();
    let (mut session, logits) = prepared(&model);
    let params = SampleParams {
        mirostat_tau: 3.0,
        ..Default::default()
    };
    assert_eq!(params.mirostat_mu.get(), None);
    session.sample(&params).unwrap();
    let first = params.mirostat_mu.get().unwrap();
    assert_ne!(first, 6.0);
    let given = SampleParams {
        mirostat_tau: 3.0,
        ..Default::default()
    };
    given.mirostat_mu.set(Some(6.0));
    session.sample(&given).unwrap();
    assert_eq!(given.mirostat_mu.get(), Some(first));
    session.sample_candidates(&logits, &given).unwrap();
    assert_eq!(given.mirostat_mu.get(), Some(first)); // nothing was drawn
    given.mirostat_mu.set(Some(f32::NAN));
    assert!(session.sample(&given).unwrap_err().line.contains("NaN"));
    let off = SampleParams::default();
    session.sample(&off).unwrap();
    assert_eq!(off.mirostat_mu.get(), None);
}

#[test]
fn a_callback_changes_the_logits() {
    let model = Model::load(MODEL).unwrap();
    let (mut session, logits) = prepared(&model);
    let (seen, n) = (Arc::new(AtomicI64::new(-1)), prompt(&model).len());
    let see = seen.clone();
    let only_five = LogitsCallback::new(move |position, logits| {
        see.store(position, Ordering::Relaxed);
        logits.fill(f32::NEG_INFINITY);
        logits[5] = 0.0;
        true
    });
    let with = |callback| SampleParams {
        callback: Some(callback),
        ..Default::default()
    };
    assert_eq!(session.sample(&with(only_five.clone())).unwrap(), 5);
    assert_eq!(seen.load(Ordering::Relaxed), n as i64);
    let kept = session
        .sample_candidates(&logits, &with(only_five))
        .unwrap();
    let five = Candidate {
        id: 5,
        probability: 1.0,
    };
    assert_eq!(kept[0], five);

    let stops = with(LogitsCallback::new(|_, _| false));
    assert_eq!(session.sample(&stops).unwrap_err().status, -60);
    let panics = with(LogitsCallback::new(|_, _| panic!("the callback's")));
    let draw = || session.sample_logits(&logits, &panics);
    let panic = catch_unwind(AssertUnwindSafe(draw)).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"the callback's"));
    assert_eq!(
        session.sample(&Default::default()).unwrap(),
        model
            .session(1)
            .and_then(|mut other| {
                other.forward(&prompt(&model))?;
                other.sample(&Default::default())
            })
            .unwrap()
    );
}
