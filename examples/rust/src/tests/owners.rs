//! Who keeps what: models, tokenizers, sessions; what other threads may do.
use super::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

fn sent<T: Send + 'static>() {}
fn shared<T: Send + Sync + 'static>() {}

#[test]
fn threads_may_have_them() {
    shared::<(Model, Tokenizer, Canceller, Error)>();
    sent::<(Session, Generator, Sequence, SampleParams)>();
}

#[test]
fn a_model_is_kept_by_what_it_has_made() {
    struct App {
        model: Model,
        session: Session,
    }
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let wanted = run(&mut model.session(1).unwrap(), &ids);
    let session = model.session(2).unwrap();
    let mut app = App { model, session };
    assert!(run(&mut app.session, &ids) == wanted);

    let tokenizer = app.model.tokenizer().unwrap();
    let mut session = app.session;
    drop(app.model);
    let both = thread::spawn(move || {
        let ids = prompt(session.model());
        (run(&mut session, &ids), session)
    });
    let (logits, session) = both.join().unwrap();
    assert!(logits == wanted);
    drop(session);
    assert_eq!(tokenizer.encode(PROMPT).unwrap(), ids);
}

#[test]
fn a_tokenizer_loads_alone() {
    let (model, alone) = (Model::load(MODEL).unwrap(), Tokenizer::load(MODEL).unwrap());
    let of_model = model.tokenizer().unwrap();
    let eot = model.info().eot_token;
    for tokenizer in [&of_model, &alone.clone()] {
        assert_eq!(tokenizer.encode(PROMPT).unwrap(), prompt(&model));
        assert_eq!((tokenizer.eot(), tokenizer.bos()), (eot, eot));
        let text = "<|endoftext|>";
        assert_eq!(tokenizer.encode_special(text).unwrap(), [eot.unwrap()]);
        assert!(!tokenizer.encode(text).unwrap().contains(&eot.unwrap()));
        assert_eq!(tokenizer.n_vocab(), model.info().n_vocab);
        assert!(!tokenizer.is_added(1) && !tokenizer.is_added(-1));
    }
    let error = Tokenizer::load("no-such-folder").unwrap_err();
    assert_eq!(error.status, status::FILE);
    assert_eq!(model.tokenizer_error(), "");
}

#[test]
fn words_that_begin_and_end_a_text() {
    let read = |name: &str| fs::read(Path::new(MODEL).join(name)).unwrap();
    let files = [
        ("config.json", read("config.json")),
        ("model.safetensors", read("model.safetensors")),
        ("vocab.json", read("vocab.json")),
        ("merges.txt", read("merges.txt")),
        (
            "tokenizer_config.json",
            br#"{"bos_token": " the"}"#.to_vec(),
        ),
    ];
    let sources: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (*name, &bytes[..]))
        .collect();
    let model = Model::from_sources(&sources, &Default::default()).unwrap();
    let tokenizer = model.tokenizer().unwrap();
    assert_ne!(tokenizer.bos(), tokenizer.eot());
    assert_eq!(tokenizer.bytes(tokenizer.bos().unwrap()).unwrap(), b" the");
}

#[test]
fn another_thread_cancels() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let mut session = model.session(1).unwrap();
    let wanted = run(&mut session, &ids);
    let canceller = session.canceller();
    let stopped = Arc::new(AtomicBool::new(false));
    let also_stopped = stopped.clone();
    let runs = thread::spawn(move || {
        let error = loop {
            session.reset().unwrap(); // this withdraws a cancel
            if let Err(error) = session.forward(&[1; 100]) {
                break error;
            }
        };
        also_stopped.store(true, Ordering::Relaxed);
        (session, error)
    });
    while !stopped.load(Ordering::Relaxed) {
        canceller.clone().cancel();
        thread::yield_now();
    }
    let (mut session, error) = runs.join().unwrap();
    assert_eq!(error.status, status::CANCELLED);
    assert!(run(&mut session, &ids) == wanted);
    drop(session);
    canceller.cancel(); // there is nothing left to cancel
}

#[test]
fn weights_are_those_of_the_file() {
    let model = Model::load(MODEL).unwrap();
    let info = model.info();
    let (n_vocab, n_embd) = (info.n_vocab as usize, info.n_embd as usize);
    let (wte, shape) = model.tensor("wte.weight").unwrap();
    assert_eq!((shape, wte.len()), ([n_vocab, n_embd], n_vocab * n_embd));
    let (gain, shape) = model.tensor("transformer.ln_f.weight").unwrap();
    assert_eq!((shape, gain.len()), ([n_embd, 1], n_embd));

    // the logits are ln_f by wte
    let mut session = model.session(1).unwrap();
    let (send, normed) = std::sync::mpsc::channel();
    let keep = move |tap: &mut Tap| send.send(tap.row(0).to_vec()).is_ok();
    session.set_tap(&[TapKind::LnF], keep).unwrap();
    let logits = session.forward(&prompt(&model)).unwrap();
    let normed = normed.recv().unwrap();
    for (weights, logit) in wte.chunks(n_embd).zip(logits) {
        let products = weights.iter().zip(&normed).map(|(a, b)| f64::from(a * b));
        assert!((products.sum::<f64>() - f64::from(*logit)).abs() < 1e-3);
    }

    for name in ["no.such.weight", "a\0"] {
        let error = model.tensor(name).unwrap_err();
        assert_eq!(error.status, status::ARGUMENT);
        assert!(error.line.contains(&name[..1]), "{error}");
    }
}

#[test]
fn params_reach_the_session() {
    let model = Model::load(MODEL).unwrap();
    let params = SessionParams {
        n_ctx: 30,
        n_batch: 7,
        cpu_mask: 0,
        ..Default::default()
    };
    let mut session = model.session_with(&params).unwrap();
    assert_eq!((session.n_ctx(), session.kernels()), (30, "scalar"));
    let ids = prompt(&model);
    assert!(run(&mut session, &ids) == run(&mut model.session(1).unwrap(), &ids));
    let params = SessionParams {
        n_batch: 0,
        ..params
    };
    let error = model.session_with(&params).unwrap_err();
    assert!(error.line.contains("n_batch"), "{error}");
}

#[test]
fn all_can_be_printed() {
    let model = Model::load(MODEL).unwrap();
    let mut session = model.session(1).unwrap();
    let generator = session.generator(&Default::default()).unwrap();
    let all = format!(
        "{model:?} {:?} {session:?} {:?} {generator:?} {:?}",
        model.tokenizer(),
        session.canceller(),
        session.first(),
    );
    for word in [
        "n_embd",
        "Tokenizer",
        "n_ctx",
        "Canceller",
        "Generator",
        "Sequence",
    ] {
        assert!(all.contains(word), "{all}");
    }
    let error = Model::load("no-such-model").unwrap_err();
    let error: Box<dyn std::error::Error + Send + Sync> = error.into();
    assert!(error.to_string().contains("no-such-model"));
}
