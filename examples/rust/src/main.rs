//! Writes a text and says what may come next:
//!
//!     cargo run -- ../demo-model "Once upon a time"
use gpt2::{Model, SampleParams};
use std::io::{self, Write};
use std::{env, process::ExitCode};

fn demo(path: &str, prompt: &str) -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::load(path)?;
    let tokenizer = model.tokenizer().ok_or("the model has no tokenizer")?;
    let mut session = model.session(1)?;
    let params = SampleParams {
        temperature: 0.8,
        top_k: 40,
        ..Default::default()
    };
    let mut out = io::stdout().lock();

    write!(out, "{prompt}")?;
    let mut ids = tokenizer.encode(prompt)?;
    if ids.is_empty() {
        let eot = model.info().eot_token;
        if eot < 0 {
            return Err(
                "the prompt is empty and the model has no <|endoftext|>: give a prompt".into(),
            );
        }
        ids.push(eot); // a text without a prompt begins with it
    }
    let mut logits = session.forward(&ids)?.to_vec();
    for _ in 0..50 {
        let id = session.sample(&params)?;
        if id == model.info().eot_token {
            break;
        }
        out.write_all(tokenizer.bytes(id)?)?;
        out.flush()?;
        logits.copy_from_slice(session.forward(&[id])?);
    }

    writeln!(out, "\n\nAfter this may come")?;
    let mut ids: Vec<usize> = (0..logits.len()).collect();
    ids.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    let weight = |id: usize| f64::from(logits[id] - logits[ids[0]]).exp();
    let total: f64 = (0..logits.len()).map(weight).sum();
    for &id in &ids[..5.min(ids.len())] {
        let text = String::from_utf8_lossy(tokenizer.bytes(id as i32)?);
        writeln!(out, "{:7.2}%  {text:?}", 100.0 * weight(id) / total)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let (path, prompt) = match &args[..] {
        [] => ("../demo-model", "Once upon a time"),
        [path] => (path.as_str(), "Once upon a time"),
        [path, prompt] => (path.as_str(), prompt.as_str()),
        _ => {
            eprintln!("usage: gpt2 [MODEL] [PROMPT]");
            return ExitCode::from(2);
        }
    };
    match demo(path, prompt) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gpt2: {error}");
            ExitCode::FAILURE
        }
    }
}
