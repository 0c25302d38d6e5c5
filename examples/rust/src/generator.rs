//! Generators, which continue texts token by token.
use crate::sampling::DrawState;
use crate::session::{Handle, Sequence, Session};
use crate::{create, model::c_string, params, raw, Error, Result, SampleParams};
use std::ffi::{CStr, CString};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::{fmt, ptr, ptr::NonNull, slice};

/// Where the texts of a generator end.
#[derive(Debug, Clone, Default)]
pub struct GeneratorParams {
    /// Whether `<|endoftext|>` does not end a text.
    pub ignore_eot: bool,
    /// Tokens that end a text, and give no text.
    pub stop_ids: Vec<i32>,
    /// A text ends before the first of them that is complete in it.
    pub stop_strings: Vec<String>,
    /// Whether a step computes only the logits that its draw looks at, where it can: the same
    /// tokens, but no logits to read.  Wants [`ModelParams::shortlist`](crate::ModelParams::shortlist).
    pub shortlist: bool,
    /// The most tokens, up to 31, that a step guesses from the text so far and checks in one call:
    /// the same text, often faster.  [`SessionParams::n_logit_rows`](crate::SessionParams) must be
    /// larger.
    pub draft_max: u8,
}

/// Why a text has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// `<|endoftext|>` or a stop id, which gives no text.
    Token,
    /// Before a stop string.
    String,
    /// max_tokens have been drawn.
    Length,
    /// The context is full.
    Context,
    /// The KV cache has too few free pages.
    Pages,
    /// By a cancel.
    Cancelled,
    /// The time of [`set_timeout`](Session::set_timeout) is over.
    Deadline,
    /// No token can be drawn: [`Generator::error`] says why.
    Error,
    /// A reason that only a newer library knows.
    Other(i32),
}

impl Finish {
    fn new(number: i32) -> Option<Finish> {
        Some(match number {
            raw::FINISH_NOT_YET => return None,
            raw::FINISH_TOKEN => Finish::Token,
            raw::FINISH_STRING => Finish::String,
            raw::FINISH_LENGTH => Finish::Length,
            raw::FINISH_CONTEXT => Finish::Context,
            raw::FINISH_PAGES => Finish::Pages,
            raw::FINISH_CANCELLED => Finish::Cancelled,
            raw::FINISH_DEADLINE => Finish::Deadline,
            raw::FINISH_ERROR => Finish::Error,
            other => Finish::Other(other),
        })
    }
}

/// What a step gives for one generator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The token that was drawn; None: none.
    pub id: Option<i32>,
    /// What became certain: whole UTF-8 characters, and no part of a stop string.  At the end of
    /// the text it is all that is left.
    pub text: Vec<u8>,
    /// None: the text goes on.
    pub finish: Option<Finish>,
}

impl Generated {
    fn new(raw: &raw::gpt2_generated) -> Generated {
        let text = match raw.n_bytes {
            0 => Vec::new(),
            n => unsafe { slice::from_raw_parts(raw.text.cast(), n) }.to_vec(),
        };
        Generated {
            id: (raw.id >= 0).then_some(raw.id),
            text,
            finish: Finish::new(raw.finish),
        }
    }
}

/// What the library borrows from a text's start to its end.
struct Text {
    ids: Vec<i32>,
    sampling: SampleParams,
    state: DrawState,
}

/// Continues texts of its session: [`Session::generator`] makes it, [`Session::start`] gives it a
/// text, [`Session::step`] draws a token.
///
/// ```
/// let model = gpt2::Model::load("../demo-model")?;
/// let mut session = model.session(1)?;
/// let ids = model.tokenizer().unwrap().encode("Once upon a time")?;
/// let mut generator = session.generator(&Default::default())?;
/// session.start(&mut generator, &session.first(), &ids, Some(20), &Default::default())?;
/// loop {
///     let step = session.step(&mut generator)?;
///     print!("{}", String::from_utf8_lossy(&step.text));
///     if step.finish.is_some() {
///         break;
///     }
/// }
/// # Ok::<(), gpt2::Error>(())
/// ```
///
/// It has its own copies of what it is given, and keeps the memory of its session, and the model.
///
/// Only its session steps it:
///
/// ```compile_fail
/// let model = gpt2::Model::load("../demo-model")?;
/// let mut session = model.session(1)?;
/// let mut generator = session.generator(&Default::default())?;
/// session.start(&mut generator, &session.first(), &[1], None, &Default::default())?;
/// drop(session);
/// session.step(&mut generator)?;
/// # Ok::<(), gpt2::Error>(())
/// ```
///
/// A generator takes part in a step once:
///
/// ```compile_fail
/// let model = gpt2::Model::load("../demo-model")?;
/// let mut session = model.session(1)?;
/// let mut generator = session.generator(&Default::default())?;
/// session.step_all([&mut generator, &mut generator])?;
/// # Ok::<(), gpt2::Error>(())
/// ```
pub struct Generator {
    raw: NonNull<raw::gpt2_generator>,
    text: Option<Rc<Text>>, // no Box: one that moves may invalidate pointers to its content
    sequence: Option<Sequence>, // of a text that has not ended: it stays open so long
    session: Arc<Handle>,
}

// Any thread may free a generator while its session runs.  Nothing but this Generator refers to
// `text`.
unsafe impl Send for Generator {}

impl Generator {
    /// One line if the last text ended with [`Finish::Pages`] or a reason below it, or with a full
    /// context and no token; else "".
    pub fn error(&self) -> String {
        let line = unsafe { CStr::from_ptr(raw::gpt2_generator_error(self.raw.as_ptr())) };
        line.to_string_lossy().into_owned()
    }

    /// How many tokens of the text were guessed, and how many guesses were right.
    pub fn drafted(&self) -> (u64, u64) {
        let (mut drafted, mut accepted) = (0, 0);
        unsafe { raw::gpt2_generator_drafted(self.raw.as_ptr(), &mut drafted, &mut accepted) };
        (drafted, accepted)
    }

    /// Mirostat's state, to go on with it in another text; None before the first start.
    pub fn mirostat_mu(&self) -> Option<f32> {
        self.text.as_ref().map(|text| text.state.mirostat_mu())
    }
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Generator")
            .field("sequence", &self.sequence.as_ref().map(Sequence::number))
            .field("error", &self.error())
            .finish_non_exhaustive()
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        unsafe { raw::gpt2_generator_free(self.raw.as_ptr()) }
    }
}

impl Session {
    /// A generator for texts of this session, one after the other.
    pub fn generator(&mut self, given: &GeneratorParams) -> Result<Generator> {
        let strings: Vec<CString> = given
            .stop_strings
            .iter()
            .map(|string| c_string(string, "stop string"))
            .collect::<Result<_>>()?;
        let pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
        let mut params = params(raw::gpt2_generator_params_init);
        params.ignore_eot = i32::from(given.ignore_eot);
        params.shortlist = i32::from(given.shortlist);
        params.draft_max = i32::from(given.draft_max);
        (params.stop_ids, params.n_stop_ids) = (given.stop_ids.as_ptr(), given.stop_ids.len());
        (params.stop_strings, params.n_stop_strings) = (pointers.as_ptr(), pointers.len());
        let raw = create(|line, size, generator| {
            (params.errbuf, params.errbuf_size) = (line, size);
            unsafe { raw::gpt2_generator_create(self.raw.as_ptr(), &params, generator) }
        })?;
        Ok(Generator {
            raw,
            text: None,
            sequence: None,
            session: self.raw.clone(),
        })
    }

    /// Begins to continue a sequence.  The first step runs `ids`, one or more, behind what the
    /// sequence has.  `max_tokens`: how many to draw; None: no limit.  If it fails, the generator
    /// stays as it was.
    pub fn start(
        &mut self,
        generator: &mut Generator,
        sequence: &Sequence,
        ids: &[i32],
        max_tokens: Option<u64>,
        sampling: &SampleParams,
    ) -> Result<()> {
        self.check_owner(generator)?;
        let (number, n_ids) = (self.number(sequence)?, ids.len());
        let max_tokens = max_tokens.map_or(-1, |n| i64::try_from(n).unwrap_or(i64::MAX));
        let text = Rc::new(Text {
            ids: ids.to_vec(),
            sampling: sampling.clone(),
            state: DrawState::new(sampling),
        });
        let params = text.sampling.raw(self.n_vocab, &text.state)?;
        let (generator_raw, ids) = (generator.raw.as_ptr(), text.ids.as_ptr());
        self.check(unsafe {
            raw::gpt2_generator_start(generator_raw, number, ids, n_ids, max_tokens, &params)
        })?;
        (generator.text, generator.sequence) = (Some(text), Some(sequence.clone()));
        Ok(())
    }

    /// Draws the next token of a generator.
    pub fn step(&mut self, generator: &mut Generator) -> Result<Generated> {
        Ok(self.step_all([generator])?.remove(0))
    }

    /// Draws the next token of each of these generators.  Their tokens run in one batch; each text
    /// is the one that its generator gives alone.  One that cannot go on finishes, and the others
    /// go on. If it fails, all stay as they were.
    ///
    /// ```
    /// # let model = gpt2::Model::load("../demo-model")?;
    /// let params = gpt2::SessionParams { n_sequences: 3, ..Default::default() };
    /// let mut session = model.session_with(&params)?;
    /// let mut generators = Vec::new();
    /// for stream in 0..3 {
    ///     let mut generator = session.generator(&Default::default())?;
    ///     let sampling = gpt2::SampleParams { stream, ..Default::default() };
    ///     let sequence = if stream == 0 { session.first() } else { session.sequence()? };
    ///     session.start(&mut generator, &sequence, &[1, 2], Some(5), &sampling)?;
    ///     generators.push(generator);
    /// }
    /// while session.step_all(&mut generators)?.iter().any(|step| step.finish.is_none()) {}
    /// # Ok::<(), gpt2::Error>(())
    /// ```
    pub fn step_all<'g>(
        &mut self,
        generators: impl IntoIterator<Item = &'g mut Generator>,
    ) -> Result<Vec<Generated>> {
        let mut generators: Vec<_> = generators.into_iter().collect();
        if generators.is_empty() {
            return Ok(Vec::new());
        }
        for generator in &generators {
            self.check_owner(generator)?;
            if let Some(sequence) = &generator.sequence {
                self.number(sequence)?;
            }
        }
        self.with_room();
        let pointers: Vec<_> = generators
            .iter()
            .map(|generator| generator.raw.as_ptr())
            .collect();
        let nothing = raw::gpt2_generated {
            id: -1,
            finish: raw::FINISH_NOT_YET,
            text: ptr::null(),
            n_bytes: 0,
        };
        let (n, mut results) = (pointers.len(), vec![nothing; pointers.len()]);
        let status =
            unsafe { raw::gpt2_generator_step(pointers.as_ptr(), n, results.as_mut_ptr()) };
        let mut panics = Vec::new();
        for (generator, result) in generators.iter_mut().zip(&results) {
            if result.finish != raw::FINISH_NOT_YET {
                generator.sequence = None;
            }
            panics.extend(
                generator
                    .text
                    .as_ref()
                    .and_then(|text| text.state.take_panic()),
            );
        }
        panics.extend(self.tap_panic());
        if let Some(panic) = panics.pop() {
            resume_unwind(panic);
        }
        self.check(status)?;
        Ok(results.iter().map(Generated::new).collect())
    }

    fn check_owner(&self, generator: &Generator) -> Result<()> {
        if Arc::ptr_eq(&generator.session, &self.raw) {
            return Ok(());
        }
        Err(Error::argument(
            "the generator is of another session".into(),
        ))
    }
}
