//! Against the header and the gpt2 program, which lies beside the library.
use super::*;
use generators::continued;
use std::path::Path;
use std::process::{self, Command};
use std::{env, fs, io::Write, thread, time::Duration};

mod generators;
mod header;
mod owners;
mod samplers;
mod scores;
mod taps;

const MODEL: &str = "../demo-model";
const PROMPT: &str = "It was a long way to the sea";

fn program(command: &str, args: &[&str]) -> Vec<u8> {
    let dir = env::var("GPT2_LIB_DIR").unwrap_or_default();
    let path = Path::new(if dir.is_empty() { "../../build" } else { &dir }).join("gpt2");
    let args = [&[command, "-m", MODEL, "-p", PROMPT], args].concat();
    let output = Command::new(&path).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{path:?}, which `make` builds: {error}"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn load_as(path: impl AsRef<Path>, weight_type: WeightType) -> Result<Model> {
    let params = ModelParams {
        weight_type,
        ..Default::default()
    };
    Model::load_with(path, &params)
}

fn prompt(model: &Model) -> Vec<i32> {
    model.tokenizer().unwrap().encode(PROMPT).unwrap()
}

/// The bits of the logits after the prompt, in two calls.
fn run(session: &mut Session, ids: &[i32]) -> Vec<u32> {
    session.reset().unwrap();
    session.forward(&ids[..3]).unwrap();
    session
        .forward(&ids[3..])
        .unwrap()
        .iter()
        .map(|x| x.to_bits())
        .collect()
}

#[test]
fn text_is_the_programs() {
    let model = Model::load(MODEL).unwrap();
    let tokenizer = model.tokenizer().unwrap();
    let sampled = SampleParams {
        top_k: 40,
        top_p: 0.9,
        seed: 7,
        ..Default::default()
    };
    let greedy = SampleParams {
        temperature: 0.0,
        ..Default::default()
    };
    for (params, options) in [
        (
            sampled,
            &[
                "-n", "40", "--temp", "1", "--top-k", "40", "--top-p", "0.9", "-s", "7",
            ][..],
        ),
        (greedy, &["-n", "40", "--temp", "0"]),
    ] {
        let mut session = model.session(2).unwrap();
        let mut ids = prompt(&model);
        let whole = continued(&mut session, &ids, Some(40), &params);
        ids.extend(&whole.ids);
        assert_eq!(
            tokenizer.decode(&ids).unwrap(),
            [PROMPT.as_bytes(), &whole.text].concat()
        );
        assert_eq!(
            [PROMPT.as_bytes(), &whole.text, b"\n"].concat(),
            program("generate", options)
        );
        assert_eq!((whole.ids.len(), whole.finish), (40, Finish::Length));
        assert_eq!(session.position() as usize, ids.len() - 1); // the last token has not run
    }
}

#[test]
fn logits_are_the_programs() {
    let file = env::temp_dir().join(format!("gpt2-rust-{}.safetensors", process::id()));
    program("trace", &["-o", file.to_str().unwrap()]);
    let traced = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let model = Model::load(MODEL).unwrap();
    let bits = run(&mut model.session(1).unwrap(), &prompt(&model));
    let last_row = &traced[traced.len() - 4 * bits.len()..]; // logits are the file's last tensor
    let traced: Vec<u32> = last_row
        .chunks_exact(4)
        .map(|b| u32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    assert!(bits == traced);
    assert_eq!(bits.len(), model.info().n_vocab as usize);
}

#[test]
fn errors_say_what_is_wrong() {
    let error = Model::load("no-such-model").err().unwrap();
    assert_eq!(error.status, -40);
    assert!(error.line.contains("no-such-model/config.json"), "{error}");
    assert_eq!(
        Model::load("no\0model").err().unwrap().status,
        status::ARGUMENT
    );

    let model = Model::load(MODEL).unwrap();
    let n_vocab = model.info().n_vocab;
    let mut session = model.session(1).unwrap();
    let error = session.forward(&[1, n_vocab]).unwrap_err();
    assert_eq!(error.status, -2);
    assert!(error.line.contains(&n_vocab.to_string()), "{error}");
    assert_eq!(session.position(), 0);
    assert_eq!(
        session.sample(&SampleParams::default()).unwrap_err().status,
        -4
    );
    assert_eq!(model.tokenizer().unwrap().bytes(-1).unwrap_err().status, -2);
    let error = model.tokenizer().unwrap().decode(&[1, n_vocab]);
    let line = format!("id 1 is {n_vocab}, wanted 0 to {}", n_vocab - 1);
    assert_eq!(error.unwrap_err(), Error { status: -2, line });

    let ids = prompt(&model);
    assert!(run(&mut session, &ids) == run(&mut model.session(1).unwrap(), &ids));
}

#[test]
fn models_load_from_memory() {
    let names = [
        "merges.txt",
        "model.safetensors",
        "vocab.json",
        "config.json",
    ];
    let files = names.map(|name| (name, fs::read(Path::new(MODEL).join(name)).unwrap()));
    let sources = files.each_ref().map(|(name, bytes)| (*name, &bytes[..]));
    let (model, wanted) = (
        Model::from_sources(&sources, &Default::default()).unwrap(),
        Model::load(MODEL).unwrap(),
    );
    let ids = prompt(&model);
    assert_eq!(ids, prompt(&wanted));
    let mut session = model.session(1).unwrap();
    assert!(run(&mut session, &ids) == run(&mut wanted.session(1).unwrap(), &ids));

    let load = |sources| Model::from_sources(sources, &Default::default());
    let error = load(&sources[..3]).unwrap_err();
    assert_eq!(error.status, -40);
    assert!(error.line.contains("config.json"), "{error}");
    assert_eq!(load(&[("a\0", b"")]).unwrap_err().status, status::ARGUMENT);
    assert!(load(&[]).is_err());
}

#[test]
fn weights_of_another_type() {
    let logits = |weight_type| {
        let model = load_as(MODEL, weight_type).unwrap();
        let mut session = model.session(1).unwrap();
        run(&mut session, &prompt(&model))
    };
    let wanted = logits(WeightType::AsFile); // F16
    assert!(logits(WeightType::F16) == wanted);
    assert!(logits(WeightType::F32) == wanted);
    let others = [WeightType::BF16, WeightType::Q8, WeightType::Q4].map(logits);
    for (i, rounded) in others.iter().enumerate() {
        assert!(*rounded != wanted && !others[..i].contains(rounded));
    }
}

#[test]
fn native_files() {
    let wanted = load_as(MODEL, WeightType::Q8).unwrap();
    let ids = prompt(&wanted);
    let logits = run(&mut wanted.session(1).unwrap(), &ids);
    let mut bytes = Vec::new();
    wanted.write("native.safetensors", &mut bytes).unwrap();
    let path = std::env::temp_dir().join(format!("gpt2-rust-{}", std::process::id()));
    std::fs::write(&path, &bytes).unwrap();
    let sources = [("native.safetensors", &bytes[..])];
    let copied = Model::from_sources(&sources, &Default::default()).unwrap();
    bytes.fill(0); // it was copied
    for model in [
        copied,
        Model::load(&path).unwrap(),
        unsafe { Model::map(&path) }.unwrap(),
    ] {
        assert!(run(&mut model.session(1).unwrap(), &prompt(&model)) == logits);
    }
    let error = load_as(&path, WeightType::F32).err().unwrap();
    assert!(error.line.contains("keeps its type"), "{error}");
    std::fs::remove_file(&path).unwrap();

    let full = wanted
        .write("native.safetensors", &mut [0u8; 100][..])
        .unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::WriteZero);
}

#[test]
fn a_deadline_ends_a_call() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let mut session = model.session(1).unwrap();
    let alone = run(&mut session, &ids);
    session.reset().unwrap();
    session.set_timeout(Some(Duration::ZERO)).unwrap();
    assert_eq!(session.forward(&ids).unwrap_err().status, -61);
    for far in [Some(Duration::from_secs(3600)), None] {
        session.set_timeout(far).unwrap();
        assert!(run(&mut session, &ids) == alone);
    }
}

#[test]
fn sessions_run_side_by_side() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let alone = run(&mut model.session(1).unwrap(), &ids);
    let mut made_here = model.session(2).unwrap();
    thread::scope(|scope| {
        let first = scope.spawn(|| run(&mut made_here, &ids));
        let second = scope.spawn(|| run(&mut model.session(1).unwrap(), &ids));
        assert!(first.join().unwrap() == alone);
        assert!(second.join().unwrap() == alone);
    });
}

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|x| x.to_bits()).collect()
}

/// The bits of the last row of logits of a text in a session of its own.
fn alone(model: &Model, kv_type: KvType, ids: &[i32]) -> Vec<u32> {
    let params = SessionParams {
        kv_type,
        ..Default::default()
    };
    bits(model.session_with(&params).unwrap().forward(ids).unwrap())
}

fn item<'a>(sequence: &'a Sequence, tokens: &'a [i32], n_logit_rows: usize) -> BatchItem<'a> {
    BatchItem {
        sequence,
        tokens,
        n_logit_rows,
    }
}

/// The bits of the last row of logits of a batch of one.
fn run_one(session: &mut Session, sequence: &Sequence, tokens: &[i32]) -> Vec<u32> {
    bits(session.forward_batch(&[item(sequence, tokens, 1)]).unwrap()[0][0])
}

fn many(n_sequences: i32) -> SessionParams {
    SessionParams {
        n_sequences,
        ..Default::default()
    }
}

#[test]
fn a_batch_is_each_text_alone() {
    let model = Model::load(MODEL).unwrap();
    let (ids, sampling) = (prompt(&model), SampleParams::default());
    let long = ids.repeat(8);
    for (n_threads, kv_type) in [(1, KvType::F32), (2, KvType::F16)] {
        let params = SessionParams {
            n_threads,
            kv_type,
            n_logit_rows: 5,
            ..many(3)
        };
        let mut session = model.session_with(&params).unwrap();
        let (a, b) = (session.sequence().unwrap(), session.sequence().unwrap());
        let first = session.first();
        let logits = session.forward_batch(&[item(&b, &ids[..2], 0)]).unwrap();
        assert_eq!(logits, [Vec::<&[f32]>::new()]);
        let logits = session
            .forward_batch(&[
                item(&a, &long, 3),
                item(&first, &[7], 99),
                item(&b, &ids[2..], 1),
            ])
            .unwrap();
        assert_eq!(logits.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1, 1]);
        for (row, n) in logits[0].iter().zip(long.len() - 2..) {
            assert!(bits(row) == alone(&model, kv_type, &long[..n]));
        }
        assert!(bits(logits[1][0]) == alone(&model, kv_type, &[7]));
        assert!(bits(logits[2][0]) == alone(&model, kv_type, &ids));
        for (i, ids) in [&long, &vec![7], &ids].into_iter().enumerate() {
            let id = session.sample_item(i, &sampling).unwrap();
            let params = SessionParams {
                kv_type,
                ..Default::default()
            };
            let mut other = model.session_with(&params).unwrap();
            other.forward(ids).unwrap();
            assert_eq!(id, other.sample(&sampling).unwrap());
        }
        assert_eq!(session.ids(&b).unwrap(), ids);
        assert_eq!(session.position(), 1);
    }
}

#[test]
fn sequences_fork_and_go_back() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let mut session = model.session_with(&many(3)).unwrap();
    let first = session.first();
    session.forward(&ids).unwrap();
    let fork = session.fork(&first, 5).unwrap();
    assert_eq!(session.ids(&fork).unwrap(), &ids[..5]);
    assert_eq!(session.fork(&fork, 6).unwrap_err().status, -3);
    let wanted = alone(&model, KvType::F32, &[&ids[..5], &[9]].concat());
    assert!(run_one(&mut session, &fork, &[9]) == wanted);
    assert_eq!(session.ids(&first).unwrap(), ids);
    session.truncate(&first, 5).unwrap();
    assert_eq!(session.truncate(&first, 6).unwrap_err().status, -3);
    assert_eq!(session.position_of(&first).unwrap(), 5);
    assert!(run_one(&mut session, &first, &[9]) == wanted);
    session.truncate(&first, 0).unwrap();
    assert!(session.ids(&first).unwrap().is_empty());
}

#[test]
fn a_text_can_be_longer_than_the_context() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model).repeat(10);
    let ids = &ids[..50];
    let params = SessionParams {
        n_ctx: 20,
        on_full: OnFull::Shift,
        n_keep: 4,
        ..Default::default()
    };
    let mut session = model.session_with(&params).unwrap();
    let first = session.first();
    let shifted = bits(session.forward(ids).unwrap());
    // at 20, 28, 36 and 44 tokens it keeps 4 and the newest 8
    let left = [&ids[..4], &ids[36..]].concat();
    assert_eq!(session.ids(&first).unwrap(), left);
    assert!(shifted == alone(&model, KvType::F32, &left));
    assert_eq!(session.position(), 50);
    assert_eq!(session.truncate(&first, 20).unwrap_err().status, -3);
    let params = SessionParams {
        on_full: OnFull::Stop,
        ..params
    };
    let mut session = model.session_with(&params).unwrap();
    assert_eq!(session.forward(ids).unwrap_err().status, -3);
}

/// A session that has run these ids, its first sequence, and the state of that.
fn saved(model: &Model, ids: &[i32]) -> (Session, Sequence, Vec<u8>) {
    let mut session = model.session(1).unwrap();
    let first = session.first();
    session.forward(ids).unwrap();
    let state = session.save(&first).unwrap();
    (session, first, state)
}

#[test]
fn states_are_restored() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let (mut session, _, state) = saved(&model, &ids);
    let wanted = bits(session.forward(&[3]).unwrap());

    let mut other = model.session_with(&many(2)).unwrap();
    let a = other.sequence().unwrap();
    other.restore(&a, &state).unwrap();
    assert_eq!(other.ids(&a).unwrap(), ids);
    assert_eq!(other.save(&a).unwrap(), state);
    assert!(run_one(&mut other, &a, &[3]) == wanted);
    for at in [0, 9, state.len() / 2, state.len() - 1] {
        let mut damaged = state.clone();
        damaged[at] ^= 1;
        assert_eq!(other.restore(&a, &damaged).unwrap_err().status, -9);
    }
    for damaged in [&state[1..], &state[..state.len() - 1], &[]] {
        assert_eq!(other.restore(&a, damaged).unwrap_err().status, -9);
    }
    assert_eq!(other.position_of(&a).unwrap() as usize, ids.len() + 1);
}

/// Takes `left` pieces, then ends as `end` says.
struct Broken {
    left: usize,
    end: fn() -> std::io::Result<usize>,
}

impl Write for Broken {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return (self.end)();
        }
        self.left -= 1;
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn states_are_written() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model).repeat(8);
    let mut session = model.session(1).unwrap();
    let first = session.first();
    for ids in [&[], &ids[..]] {
        if !ids.is_empty() {
            session.forward(ids).unwrap();
        }
        let (state, mut written) = (session.save(&first).unwrap(), Vec::new());
        session.write(&first, &mut written).unwrap();
        assert!(written == state);
        let mut short = vec![0; state.len() - 1]; // its last piece does not fit
        let error = session.write(&first, &mut short[..]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WriteZero);
        assert!(short == state[..state.len() - 1]);
    }
    session.truncate(&first, 5).unwrap();
    let wanted = alone(&model, KvType::F32, &[&ids[..5], &[9]].concat());
    assert!(run_one(&mut session, &first, &[9]) == wanted);
}

#[test]
fn errors_of_a_writer_come_back() {
    let model = Model::load(MODEL).unwrap();
    let ids = prompt(&model);
    let (mut session, first, state) = saved(&model, &ids);
    for left in [0, 1, 5] {
        let end = || Err(std::io::Error::from_raw_os_error(28));
        let error = session.write(&first, Broken { left, end }).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(28));

        let end = || panic!("the writer's");
        let write = || session.write(&first, Broken { left, end });
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(write)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"the writer's"));

        assert_eq!(session.ids(&first).unwrap(), ids);
        assert!(session.save(&first).unwrap() == state);
    }
    let wanted = alone(&model, KvType::F32, &[&ids[..], &[3]].concat());
    assert!(bits(session.forward(&[3]).unwrap()) == wanted);
}

#[test]
fn wrong_sequences_are_refused() {
    let model = Model::load(MODEL).unwrap();
    let mut session = model.session_with(&many(3)).unwrap();
    let mut other = model.session_with(&many(2)).unwrap();
    let strangers = [other.first(), other.sequence().unwrap()];
    let (a, b) = (session.sequence().unwrap(), session.sequence().unwrap());
    session.forward(&[1]).unwrap();
    let write_error = |session: &mut Session, sequence: &Sequence| {
        let error = session.write(sequence, std::io::sink()).unwrap_err();
        *error.into_inner().unwrap().downcast::<Error>().unwrap()
    };
    let refused = |session: &mut Session, sequence: &Sequence| {
        for status in [
            session.ids(sequence).err().unwrap().status,
            session.position_of(sequence).err().unwrap().status,
            session.save(sequence).err().unwrap().status,
            session.restore(sequence, &[]).err().unwrap().status,
            write_error(session, sequence).status,
            session.truncate(sequence, 0).err().unwrap().status,
            session.fork(sequence, 0).err().unwrap().status,
            session
                .forward_batch(&[item(sequence, &[1], 0)])
                .err()
                .unwrap()
                .status,
        ] {
            assert_eq!(status, status::SEQUENCE);
        }
    };
    strangers
        .iter()
        .for_each(|stranger| refused(&mut session, stranger));
    assert_eq!(session.position(), 1);

    let error = session
        .forward_batch(&[item(&a, &[1], 0), item(&a, &[1], 0)])
        .unwrap_err();
    assert_eq!(error.status, status::ARGUMENT);
    assert!(error.line.contains("item 1"), "{error}");
    assert_eq!(
        session.forward_batch(&[]).unwrap_err().status,
        status::ARGUMENT
    );
    assert_eq!(session.sequence().unwrap_err().status, status::SEQUENCE);

    let first = session.first();
    session.reset().unwrap();
    let again = [session.sequence().unwrap(), session.sequence().unwrap()];
    [&a, &b, &first]
        .into_iter()
        .for_each(|old| refused(&mut session, old));
    drop((a, b)); // this closes no sequence of now
    assert!(session.ids(&again[0]).unwrap().is_empty());
    assert!(session.ids(&again[1]).unwrap().is_empty());
    drop(session);
    drop(again);
}

#[test]
fn dropped_sequences_are_closed() {
    let model = Model::load(MODEL).unwrap();
    let params = SessionParams {
        n_pages: 2,
        ..many(2)
    };
    let mut session = model.session_with(&params).unwrap();
    session.forward(&[1]).unwrap();
    for id in 0..5 {
        let a = session.sequence().unwrap();
        run_one(&mut session, &a, &[id]);
        let error = session.forward_batch(&[item(&a, &[1; 64], 0)]).unwrap_err();
        assert_eq!(error.status, -8);
        assert!(error.line.contains("pages"), "{error}");
        thread::spawn(move || drop(a)).join().unwrap();
        assert_eq!(session.n_free_pages(), 1);
    }
    drop(session.first());
    assert_eq!((session.position(), session.n_free_pages()), (1, 1));
}

#[test]
fn bytes_survive_the_tokenizer() {
    let model = Model::load(MODEL).unwrap();
    let tokenizer = model.tokenizer().unwrap();
    let bytes: Vec<u8> = (0..=255).chain("é🙂".bytes()).collect();
    assert_eq!(
        tokenizer
            .decode(&tokenizer.encode(&bytes).unwrap())
            .unwrap(),
        bytes
    );
    assert!(tokenizer.encode("").unwrap().is_empty());
}

#[test]
fn offsets_are_those_of_the_text() {
    let model = Model::load(MODEL).unwrap();
    let tokenizer = model.tokenizer().unwrap();
    let text = [PROMPT.as_bytes(), "é🙂".as_bytes(), b"\xff!"].concat();
    let ids = tokenizer.encode(&text).unwrap();
    let offsets = tokenizer.offsets(&ids).unwrap();
    for (id, offsets) in ids.iter().zip(&offsets) {
        assert_eq!(text[offsets.bytes.clone()], *tokenizer.bytes(*id).unwrap());
    }
    let n = PROMPT.len();
    let last = Offsets {
        bytes: n + 7..n + 8,
        chars: n + 3..n + 4,
    };
    assert_eq!(offsets.last(), Some(&last));
    assert!(offsets
        .iter()
        .any(|o| o.bytes == (n..n + 1) && o.chars == (n..n + 1)));
    assert!(tokenizer.offsets(&[]).unwrap().is_empty());
    assert_eq!(tokenizer.offsets(&[-1]).unwrap_err().status, -2);
}
