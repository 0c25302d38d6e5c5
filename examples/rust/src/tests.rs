//! Against the header and the gpt2 program, which lies beside the library.
use super::*;
use std::{env, fs, io::Write, process, process::Command, process::Stdio, thread};

const MODEL: &str = "../demo-model";
const PROMPT: &str = "It was a long way to the sea";

fn program(command: &str, args: &[&str]) -> Vec<u8> {
    let dir = env::var("GPT2_LIB_DIR").unwrap_or_else(|_| "../../build".into());
    let path = Path::new(&dir).join("gpt2");
    let args = [&[command, "-m", MODEL, "-p", PROMPT], args].concat();
    let output = Command::new(path).args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
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

/// C that holds only if the header's struct has these fields at these places.
macro_rules! same_layout {
    ($($name:ident { $($field:ident)* })*) => {{
        let mut c = String::from("#include <stddef.h>\n#include <gpt2.h>\n");
        $(
            let size = size_of::<raw::$name>();
            let name = stringify!($name);
            c += &format!("_Static_assert(sizeof({name}) == {size}, \"{name}\");\n");
            let all = MaybeUninit::<raw::$name>::zeroed();
            let all = unsafe { all.assume_init_ref() };
            let mut end = 0;
            $(
                let (field, offset) = (stringify!($field), std::mem::offset_of!(raw::$name, $field));
                let bytes = size_of_val(&all.$field);
                assert_eq!(offset, end, "{name}.{field}: what lies before it?");
                end = offset + bytes;
                c += &format!(
                    "_Static_assert(offsetof({name}, {field}) == {offset} && \
                     sizeof(({name}){{0}}.{field}) == {bytes}, \"{name}.{field}\");\n"
                );
            )*
            assert_eq!(end, size, "{name}: what lies at its end?");
        )*
        c
    }};
}

#[test]
fn structs_are_the_headers() {
    let c = same_layout! {
        gpt2_source { name bytes n_bytes read user }
        gpt2_model_params { struct_size n_threads errbuf errbuf_size progress progress_user }
        gpt2_model_info { struct_size n_vocab n_positions n_embd n_layer n_head n_inner activation
            tied_head weight_type eot_token layer_norm_epsilon n_parameters memory_bytes }
        gpt2_encoder_params { struct_size reserved max_piece_bytes errbuf errbuf_size }
        gpt2_session_params { struct_size cpu_mask n_threads n_ctx n_batch n_logit_rows
            errbuf errbuf_size parallel_for parallel_for_user }
        gpt2_sample_params { struct_size temperature top_k top_p seed stream position }
    };
    let cc = env::var("CC").unwrap_or_else(|_| "cc".into());
    let mut cc = Command::new(cc)
        .args(["-std=c11", "-I../../include", "-fsyntax-only", "-xc", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    cc.stdin.take().unwrap().write_all(c.as_bytes()).unwrap();
    assert!(cc.wait().unwrap().success(), "{c}");
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
        session.forward(&ids).unwrap();
        for _ in 0..40 {
            let id = session.sample(&params).unwrap();
            ids.push(id);
            session.forward(&[id]).unwrap();
        }
        let mut text = tokenizer.decode(&ids).unwrap();
        text.push(b'\n');
        assert_eq!(text, program("generate", options));
        assert_eq!(session.position() as usize, ids.len());
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
        raw::ERR_ARGUMENT
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
        Model::from_sources(&sources).unwrap(),
        Model::load(MODEL).unwrap(),
    );
    let ids = prompt(&model);
    assert_eq!(ids, prompt(&wanted));
    let mut session = model.session(1).unwrap();
    assert!(run(&mut session, &ids) == run(&mut wanted.session(1).unwrap(), &ids));

    let error = Model::from_sources(&sources[..3]).err().unwrap();
    assert_eq!(error.status, -40);
    assert!(error.line.contains("config.json"), "{error}");
    assert_eq!(
        Model::from_sources(&[("a\0", b"")]).err().unwrap().status,
        raw::ERR_ARGUMENT
    );
    assert!(Model::from_sources(&[]).is_err());
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
