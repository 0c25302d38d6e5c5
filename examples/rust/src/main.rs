//! Writes a text and says what may come next:
//!
//!     cargo run -- ../demo-model "Once upon a time"
use gpt2::{Finish, Model, SampleParams};
use std::io::{self, Write};
use std::{env, process::ExitCode};

fn demo(path: &str, prompt: &str) -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::load(path)?;
    let tokenizer = model.tokenizer().ok_or("the model has no tokenizer")?;
    let mut session = model.session(1)?;
    let sampling = SampleParams {
        temperature: 0.8,
        top_k: 40,
        ..Default::default()
    };
    let mut out = io::stdout().lock();

    write!(out, "{prompt}")?;
    let mut ids = tokenizer.encode(prompt)?;
    if ids.is_empty() {
        // a text without a prompt begins with it
        ids.push(
            model
                .info()
                .eot_token
                .ok_or("the prompt is empty and the model has no <|endoftext|>: give a prompt")?,
        );
    }
    let mut generator = session.generator(&Default::default())?;
    let first = session.first();
    session.start(&mut generator, &first, &ids, Some(50), &sampling)?;
    let end = loop {
        let step = session.step(&mut generator)?;
        out.write_all(&step.text)?;
        out.flush()?;
        if step.finish.is_some() {
            break step;
        }
    };
    if !generator.error().is_empty() {
        return Err(generator.error().into());
    }

    writeln!(out, "\n\nAfter this may come")?;
    let logits = match (end.finish, end.id) {
        (Some(Finish::Length), Some(id)) => session.forward(&[id])?, // it has not run yet
        _ => session.logits(0)?,
    };
    let logits = logits.to_vec();
    let candidates = session.sample_candidates(&logits, &Default::default())?;
    for next in candidates.iter().take(5) {
        let text = String::from_utf8_lossy(tokenizer.bytes(next.id)?);
        writeln!(out, "{:7.2}%  {text:?}", 100.0 * next.probability)?;
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
