//! Generators against the plain loop of forward and sample.
use super::*;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// What a generator made of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Whole {
    pub ids: Vec<i32>,
    pub text: Vec<u8>,
    pub finish: Finish,
}

impl Whole {
    fn new() -> Whole {
        Whole {
            ids: Vec::new(),
            text: Vec::new(),
            finish: Finish::Other(-1),
        }
    }

    /// Adds a step; false if it was the last.
    fn add(&mut self, step: Generated) -> bool {
        self.ids.extend(step.id);
        self.text.extend(step.text);
        self.finish = step.finish.unwrap_or(self.finish);
        step.finish.is_none()
    }
}

/// All steps of a generator that was started.
fn rest(session: &mut Session, generator: &mut Generator) -> Whole {
    let mut whole = Whole::new();
    while whole.add(session.step(generator).unwrap()) {}
    whole
}

/// Sequence 0 goes on with these ids and what a generator of these params makes of them.
fn stopped(
    session: &mut Session,
    ids: &[i32],
    max_tokens: Option<u64>,
    sampling: &SampleParams,
    params: &GeneratorParams,
) -> Whole {
    let (first, mut generator) = (session.first(), session.generator(params).unwrap());
    session
        .start(&mut generator, &first, ids, max_tokens, sampling)
        .unwrap();
    rest(session, &mut generator)
}

pub fn continued(
    session: &mut Session,
    ids: &[i32],
    max_tokens: Option<u64>,
    sampling: &SampleParams,
) -> Whole {
    stopped(session, ids, max_tokens, sampling, &Default::default())
}

/// What the plain loop draws after a text.
fn looped(model: &Model, ids: &[i32], n: usize, sampling: &SampleParams) -> Vec<i32> {
    let (mut session, mut drawn) = (model.session(1).unwrap(), Vec::new());
    session.forward(ids).unwrap();
    while drawn.len() < n {
        drawn.push(session.sample(sampling).unwrap());
        session.forward(&drawn[drawn.len() - 1..]).unwrap();
    }
    drawn
}

fn greedy() -> SampleParams {
    SampleParams {
        temperature: 0.0,
        ..Default::default()
    }
}

#[test]
fn texts_are_those_of_the_loop() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let mirostat = SampleParams {
        mirostat_tau: 4.0,
        seed: 3,
        ..Default::default()
    };
    for sampling in [Default::default(), mirostat.clone()] {
        let drawn = looped(&model, &ids, 30, &sampling);
        sampling.mirostat_mu.set(None);
        let whole = continued(&mut model.session(2).unwrap(), &ids, Some(30), &sampling);
        assert_eq!(whole.ids, drawn);
        let text = model.tokenizer().unwrap().decode(&drawn).unwrap();
        assert_eq!((whole.text, whole.finish), (text, Finish::Length));
        assert_eq!(sampling.mirostat_mu.get(), None); // the generator has its own
    }
}

#[test]
fn a_batch_of_generators_is_each_alone() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let prompts = [&ids[..], &ids[2..], &ids[..1]];
    let sampling = [0, 1, 2].map(|stream| SampleParams {
        stream,
        top_p: 0.9,
        mirostat_tau: [0.0, 0.0, 5.0][stream as usize],
        ..Default::default()
    });
    let n_tokens = [20, 5, 12];
    let mut session = model.session_with(&many(3)).unwrap();
    let mut generators = Vec::new();
    for i in 0..3 {
        // the generator has its own copies of what it is given here
        let (prompt, sampling) = (prompts[i].to_vec(), sampling[i].clone());
        let mut generator = session.generator(&Default::default()).unwrap();
        let sequence = session.fork(&session.first(), 0);
        let sequence = sequence.unwrap_or(session.first());
        session
            .start(
                &mut generator,
                &sequence,
                &prompt,
                Some(n_tokens[i]),
                &sampling,
            )
            .unwrap();
        generators.push(generator);
    }
    let (mut wholes, mut n_steps) = ([(); 3].map(|()| Whole::new()), 0);
    while wholes.iter().any(|whole| whole.finish == Finish::Other(-1)) {
        let steps = session.step_all(&mut generators).unwrap();
        assert_eq!(steps.len(), 3);
        for (whole, step) in wholes.iter_mut().zip(steps) {
            whole.add(step);
        }
        n_steps += 1;
        if n_steps == 1 {
            for (i, prompt) in prompts.iter().enumerate() {
                assert!(bits(session.logits(i).unwrap()) == alone(&model, KvType::F32, prompt));
            }
        }
    }
    assert_eq!(n_steps, 20);
    for i in 0..3 {
        let mut other = model.session(1).unwrap();
        let alone = continued(&mut other, prompts[i], Some(n_tokens[i]), &sampling[i]);
        assert_eq!(wholes[i], alone);
    }
    let [a, b, _] = &mut generators[..] else {
        panic!()
    };
    for step in session.step_all([b, a]).unwrap() {
        assert_eq!((step.id, step.text.len()), (None, 0));
        assert_eq!(step.finish, Some(Finish::Length));
    }
    assert!(session.step_all([]).unwrap().is_empty());
}

#[test]
fn stops_end_a_text() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let whole = continued(&mut model.session(1).unwrap(), &ids, Some(30), &greedy());
    let text = String::from_utf8(whole.text).unwrap();

    let (long, n) = (&text[20..27], text.find(&text[20..27]).unwrap());
    let params = GeneratorParams {
        stop_strings: vec!["no such words".into(), long.into()],
        ..Default::default()
    };
    let mut session = model.session(1).unwrap();
    let got = stopped(&mut session, &ids, None, &greedy(), &params);
    assert_eq!(got.text, &text.as_bytes()[..n]);
    assert_eq!(got.finish, Finish::String);

    let id = whole.ids[10];
    let n = whole.ids.iter().position(|other| *other == id).unwrap();
    let params = GeneratorParams {
        stop_ids: vec![id],
        ..Default::default()
    };
    let got = stopped(
        &mut model.session(1).unwrap(),
        &ids,
        None,
        &greedy(),
        &params,
    );
    assert_eq!(
        (&got.ids[..], got.finish),
        (&whole.ids[..=n], Finish::Token)
    );
    let before = model.tokenizer().unwrap().decode(&whole.ids[..n]);
    assert_eq!(got.text, before.unwrap());

    let eot = model.info().eot_token.unwrap();
    let only_eot = SampleParams {
        allowed_ids: vec![eot],
        ..Default::default()
    };
    for (ignore_eot, n, finish) in [(false, 1, Finish::Token), (true, 4, Finish::Length)] {
        let params = GeneratorParams {
            ignore_eot,
            ..Default::default()
        };
        let mut session = model.session(1).unwrap();
        let got = stopped(&mut session, &ids, Some(4), &only_eot, &params);
        assert_eq!((got.ids, got.finish), (vec![eot; n], finish));
    }

    for (params, status, words) in [
        (
            GeneratorParams {
                stop_ids: vec![model.info().n_vocab],
                ..Default::default()
            },
            -2,
            "stop_ids[0]",
        ),
        (
            GeneratorParams {
                stop_strings: vec!["a\0".into()],
                ..Default::default()
            },
            status::ARGUMENT,
            "stop string",
        ),
        (
            GeneratorParams {
                stop_strings: vec!["".into()],
                ..Default::default()
            },
            status::ARGUMENT,
            "stop_strings[0]",
        ),
    ] {
        let error = session.generator(&params).err().unwrap();
        assert_eq!(error.status, status);
        assert!(error.line.contains(words), "{error}");
    }
}

#[test]
fn what_else_ends_a_text() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let params = SessionParams {
        n_ctx: 20,
        ..Default::default()
    };
    let mut session = model.session_with(&params).unwrap();
    let whole = continued(&mut session, &ids, None, &greedy());
    assert_eq!(
        (whole.ids.len(), whole.finish),
        (21 - ids.len(), Finish::Context)
    );

    let params = SessionParams {
        n_pages: 2,
        ..many(2)
    };
    let mut session = model.session_with(&params).unwrap();
    let a = session.sequence().unwrap();
    run_one(&mut session, &a, &[1]);
    let (first, mut generator) = (
        session.first(),
        session.generator(&Default::default()).unwrap(),
    );
    session
        .start(&mut generator, &first, &ids, None, &greedy())
        .unwrap();
    let whole = rest(&mut session, &mut generator);
    assert_eq!(
        (whole.ids.len(), whole.finish),
        (65 - ids.len(), Finish::Pages)
    );
    assert!(generator.error().contains("pages"), "{}", generator.error());

    let mut session = model.session(1).unwrap();
    let wanted = continued(&mut session, &ids, Some(5), &greedy());
    session.reset().unwrap();
    session.set_timeout(Some(Duration::ZERO)).unwrap();
    let late = continued(&mut session, &ids, Some(5), &greedy());
    assert_eq!((late.ids.len(), late.finish), (0, Finish::Deadline));
    assert_eq!(session.position(), 0);
    session.set_timeout(None).unwrap();
    assert_eq!(continued(&mut session, &ids, Some(5), &greedy()), wanted);

    let nan = LogitsCallback::new(|position, logits| {
        logits[3] = if position < 12 { 0.0 } else { f32::NAN };
        true
    });
    let sampling = SampleParams {
        callback: Some(nan),
        ..Default::default()
    };
    let mut session = model.session(1).unwrap();
    let mut generator = session.generator(&Default::default()).unwrap();
    let first = session.first();
    session
        .start(&mut generator, &first, &ids, None, &sampling)
        .unwrap();
    let whole = rest(&mut session, &mut generator);
    assert_eq!(
        (whole.ids.len(), whole.finish),
        (12 - ids.len(), Finish::Error)
    );
    assert!(!generator.error().is_empty());
}

#[test]
fn a_panic_of_a_callback_goes_on() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let sampling = SampleParams {
        callback: Some(LogitsCallback::new(|_, _| panic!("the callback's"))),
        ..Default::default()
    };
    let mut session = model.session_with(&many(2)).unwrap();
    let sequences = [session.first(), session.sequence().unwrap()];
    let mut generators = [(); 2].map(|()| session.generator(&Default::default()).unwrap());
    for (i, sampling) in [&sampling, &greedy()].into_iter().enumerate() {
        session
            .start(&mut generators[i], &sequences[i], &ids, Some(9), sampling)
            .unwrap();
    }
    let step = || session.step_all(&mut generators).map(|_| ());
    let panic = catch_unwind(AssertUnwindSafe(step)).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"the callback's"));
    let step = session.step(&mut generators[0]).unwrap();
    assert_eq!((step.id, step.finish), (None, Some(Finish::Error)));
    let whole = rest(&mut session, &mut generators[1]);
    assert_eq!(whole.ids, looped(&model, &ids, 9, &greedy())[1..]);
}

#[test]
fn mirostat_goes_on_in_another_text() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let sampling = SampleParams {
        mirostat_tau: 3.0,
        seed: 8,
        ..Default::default()
    };
    let drawn = looped(&model, &ids, 30, &sampling);
    let end = sampling.mirostat_mu.take();
    let mut session = model.session(1).unwrap();
    let (first, mut generator) = (
        session.first(),
        session.generator(&Default::default()).unwrap(),
    );
    assert_eq!(generator.mirostat_mu(), None);
    session
        .start(&mut generator, &first, &ids, Some(12), &sampling)
        .unwrap();
    let mut all = rest(&mut session, &mut generator).ids;
    sampling.mirostat_mu.set(generator.mirostat_mu());
    let last = all[11];
    session
        .start(&mut generator, &first, &[last], Some(18), &sampling)
        .unwrap();
    all.extend(rest(&mut session, &mut generator).ids);
    assert_eq!(all, drawn);
    assert_eq!(generator.mirostat_mu(), end);
}

#[test]
fn the_history_is_the_text() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let once = |ignores_prompt| SampleParams {
        no_repeat_ngram_size: 1,
        ignores_prompt,
        ..greedy()
    };
    let drawn = |sampling: &SampleParams| {
        continued(&mut model.session(1).unwrap(), &ids, Some(40), sampling).ids
    };
    let (with, without) = (drawn(&once(false)), drawn(&once(true)));
    assert!(with.iter().all(|id| !ids.contains(id)));
    assert!(without.iter().any(|id| ids.contains(id)));
    for drawn in [with, without] {
        assert!((0..drawn.len()).all(|i| !drawn[..i].contains(&drawn[i])));
    }
    let sampling = SampleParams {
        history: vec![1],
        ..Default::default()
    };
    let mut session = model.session(1).unwrap();
    let (first, mut generator) = (
        session.first(),
        session.generator(&Default::default()).unwrap(),
    );
    let error = session.start(&mut generator, &first, &ids, None, &sampling);
    assert!(error.unwrap_err().line.contains("history"));
}

#[test]
fn a_start_that_fails_changes_nothing() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let wanted = continued(&mut model.session(1).unwrap(), &ids, Some(9), &greedy());
    let mut session = model.session_with(&many(2)).unwrap();
    let a = session.sequence().unwrap();
    let mut generator = session.generator(&Default::default()).unwrap();
    let error = session.step(&mut generator).unwrap_err();
    assert!(error.line.contains("not been started"), "{error}");
    session
        .start(&mut generator, &a, &ids, Some(9), &greedy())
        .unwrap();
    let first = session.first();
    let wrong = [model.info().n_vocab];
    for ids in [&wrong[..], &[]] {
        let error = session.start(&mut generator, &first, ids, None, &Default::default());
        assert!(error.is_err());
    }
    assert_eq!(rest(&mut session, &mut generator), wanted);
    assert_eq!(session.position(), 0);
    let text = [&ids[..], &wanted.ids].concat();
    assert_eq!(session.ids(&a).unwrap(), &text[..text.len() - 1]);
    let row = bits(session.logits(0).unwrap());
    assert!(row == alone(&model, KvType::F32, &text[..text.len() - 1]));
}

#[test]
fn a_text_keeps_its_sequence() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let mut session = model.session_with(&many(2)).unwrap();
    let a = session.sequence().unwrap();
    let mut generator = session.generator(&Default::default()).unwrap();
    session
        .start(&mut generator, &a, &ids, Some(3), &greedy())
        .unwrap();
    drop(a.clone());
    drop(a);
    assert_eq!(session.sequence().unwrap_err().status, status::SEQUENCE);
    let drawn = rest(&mut session, &mut generator).ids;
    assert_eq!(drawn, looped(&model, &ids, 3, &greedy()));
    let b = session.sequence().unwrap(); // the text has ended
    session
        .start(&mut generator, &b, &ids, Some(3), &greedy())
        .unwrap();
    drop(generator);
    drop(b);
    session.sequence().unwrap();

    let mut generator = session.generator(&Default::default()).unwrap();
    let first = session.first();
    session
        .start(&mut generator, &first, &ids, Some(3), &greedy())
        .unwrap();
    session.reset().unwrap();
    let error = session.step(&mut generator).unwrap_err();
    assert_eq!(error.status, status::SEQUENCE);
}

#[test]
fn generators_are_of_one_session() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let (mut session, mut other) = (model.session(1).unwrap(), model.session(1).unwrap());
    let mut generator = session.generator(&Default::default()).unwrap();
    let mut strange = other.generator(&Default::default()).unwrap();
    let first = session.first();
    session
        .start(&mut generator, &first, &ids, Some(6), &greedy())
        .unwrap();
    let error = session.start(&mut strange, &first, &ids, None, &greedy());
    assert_eq!(error.unwrap_err().status, status::ARGUMENT);
    let error = session
        .step_all([&mut generator, &mut strange])
        .unwrap_err();
    assert!(error.line.contains("another session"), "{error}");
    assert!(other.step(&mut generator).is_err());
    std::mem::swap(&mut session, &mut other);
    assert!(session.step(&mut generator).is_err());
    let whole = rest(&mut other, &mut generator);
    assert_eq!(whole.ids, looped(&model, &ids, 6, &greedy()));
}

#[test]
fn generators_are_dropped_anywhere() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let mut session = model.session(2).unwrap();
    let first = session.first();
    let mut generators = [(); 9].map(|()| session.generator(&Default::default()).unwrap());
    session
        .start(&mut generators[0], &first, &ids, Some(20), &greedy())
        .unwrap();
    let [mut generator, rest_of_them @ ..] = generators;
    let drawn = thread::scope(|scope| {
        scope.spawn(move || drop(rest_of_them));
        rest(&mut session, &mut generator).ids
    });
    assert_eq!(drawn, looped(&model, &ids, 20, &greedy()));
    drop(session);
    assert_eq!(generator.error(), "");
    let moved = thread::scope(|scope| scope.spawn(move || generator).join().unwrap());
    drop(moved); // and with it the library's session
}

#[test]
fn guesses_do_not_change_a_text() {
    let model = Model::load(MODEL).unwrap();
    let copied = "I was a gentleman, and I was a gentleman, and"; // which goes on so
    let ids = model.tokenizer().unwrap().encode(copied).unwrap();
    let params = crate::SessionParams {
        n_logit_rows: 9,
        ..Default::default()
    };
    let mut session = model.session_with(&params).unwrap();
    let drafts = GeneratorParams {
        draft_max: 8,
        ..Default::default()
    };
    let mut generator = session.generator(&drafts).unwrap();
    let first = session.first();
    session
        .start(&mut generator, &first, &ids, Some(100), &greedy())
        .unwrap();
    let whole = rest(&mut session, &mut generator);
    assert_eq!(whole.ids, looped(&model, &ids, 100, &greedy()));
    let (n_drafted, n_right) = generator.drafted();
    assert!(0 < n_right && n_right <= n_drafted);
}
