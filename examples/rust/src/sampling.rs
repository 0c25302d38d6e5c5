//! How a token is chosen.
use crate::{params, raw, Candidate, Error, Result, Session};
use std::any::Any;
use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::{fmt, ptr, slice};

/// How a token is chosen.  Everything applies in the order of gpt2_sample_params in `gpt2.h`, which
/// has the exact words: changes to the logits, temperature, filters, the draw.
#[derive(Debug, Clone)]
pub struct SampleParams {
    /// Below 1e-6: the largest logit.
    pub temperature: f32,
    /// Keep so many largest logits; 0: all.
    pub top_k: i32,
    /// Keep the most probable tokens that have this probability together; 1: all.
    pub top_p: f32,
    /// Key of the random numbers.
    pub seed: u64,
    /// A second key, for several texts with one seed.
    pub stream: u64,
    /// Index in its text of the token to draw.  None: the position of the row + 1.
    pub position: Option<i64>,
    /// Keep logits at most so many standard deviations below the largest; 0: all.
    pub top_n_sigma: f32,
    /// Keep what is at least so many times as probable as the most probable token; 0: all.
    pub min_p: f32,
    /// Keep the tokens nearest to the entropy that have this probability together; 1: all.
    pub typical_p: f32,
    /// How often XTC is applied; 0: never.
    pub xtc_probability: f32,
    /// XTC leaves out all tokens of at least this probability but the least probable one.
    pub xtc_threshold: f32,
    /// The surprise, in bits, that mirostat 2 aims at; 0: off.
    pub mirostat_tau: f32,
    /// How fast mirostat learns.
    pub mirostat_eta: f32,
    /// The last tokens of the history that penalties and DRY see; 0: all.
    pub penalty_window: i32,
    /// In a generator, whether they do not see what was there before its first token.
    pub ignores_prompt: bool,
    /// Divides positive logits of tokens in the history and multiplies negative ones; 1: none.
    pub repetition_penalty: f32,
    /// Subtracted for each time that a token is in the history.
    pub frequency_penalty: f32,
    /// Subtracted if a token is in the history.
    pub presence_penalty: f32,
    /// DRY's factor, for tokens that would repeat a run of the history; 0: off.
    pub dry_multiplier: f32,
    /// DRY's base, to which each more token of the run is a power.
    pub dry_base: f32,
    /// Runs below this length cost nothing.
    pub dry_allowed_length: i32,
    /// No run of so many tokens of the history appears again; 0: off.
    pub no_repeat_ngram_size: i32,
    /// Mirostat's state, which each draw of the session changes.  None: 2 mirostat_tau.  A
    /// generator begins with it and keeps its own: [`mirostat_mu`](crate::Generator::mirostat_mu).
    pub mirostat_mu: Cell<Option<f32>>,
    /// What is added to the logits of all tokens; empty: nothing.
    pub bias: Vec<f32>,
    /// Tokens whose logits get a bias.
    pub bias_ids: Vec<i32>,
    /// One for each of `bias_ids`.
    pub bias_values: Vec<f32>,
    /// The text so far.  Empty in a generator, which takes it from its sequence.
    pub history: Vec<i32>,
    /// Tokens that DRY does not count as repeated.
    pub dry_breakers: Vec<i32>,
    /// Tokens that are not chosen.
    pub banned_ids: Vec<i32>,
    /// All others are not chosen; empty: all are allowed.
    pub allowed_ids: Vec<i32>,
    /// Sees the logits after all these changes, and may change them, too.
    pub callback: Option<LogitsCallback>,
}

/// Sees a row of logits after all changes that the params ask for, and may change it.
#[derive(Clone)]
pub struct LogitsCallback(Arc<Change>);

type Change = dyn Fn(i64, &mut [f32]) -> bool + Send + Sync;

impl LogitsCallback {
    /// `change` gets the position of the token to choose, and the row.  False ends the call with
    /// [`status::CANCELLED`](crate::status::CANCELLED).  If it panics, the panic goes on behind the call.
    pub fn new(change: impl Fn(i64, &mut [f32]) -> bool + Send + Sync + 'static) -> Self {
        LogitsCallback(Arc::new(change))
    }
}

impl fmt::Debug for LogitsCallback {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("LogitsCallback")
    }
}

impl Default for SampleParams {
    fn default() -> Self {
        let raw = params(raw::gpt2_sample_params_init);
        SampleParams {
            temperature: raw.temperature,
            top_k: raw.top_k,
            top_p: raw.top_p,
            seed: raw.seed,
            stream: raw.stream,
            position: None,
            top_n_sigma: raw.top_n_sigma,
            min_p: raw.min_p,
            typical_p: raw.typical_p,
            xtc_probability: raw.xtc_probability,
            xtc_threshold: raw.xtc_threshold,
            mirostat_tau: raw.mirostat_tau,
            mirostat_eta: raw.mirostat_eta,
            penalty_window: raw.penalty_window,
            ignores_prompt: raw.ignores_prompt != 0,
            repetition_penalty: raw.repetition_penalty,
            frequency_penalty: raw.frequency_penalty,
            presence_penalty: raw.presence_penalty,
            dry_multiplier: raw.dry_multiplier,
            dry_base: raw.dry_base,
            dry_allowed_length: raw.dry_allowed_length,
            no_repeat_ngram_size: raw.no_repeat_ngram_size,
            mirostat_mu: Cell::new(None),
            bias: Vec::new(),
            bias_ids: Vec::new(),
            bias_values: Vec::new(),
            history: Vec::new(),
            dry_breakers: Vec::new(),
            banned_ids: Vec::new(),
            allowed_ids: Vec::new(),
            callback: None,
        }
    }
}

/// What draws with some params change.
pub(crate) struct DrawState {
    mirostat_mu: Cell<f32>,
    callback: Option<LogitsCallback>,
    panic: Cell<Option<Box<dyn Any + Send>>>, // of the callback
}

impl DrawState {
    pub(crate) fn new(params: &SampleParams) -> DrawState {
        let first = (2.0 * params.mirostat_tau).min(f32::MAX);
        DrawState {
            mirostat_mu: Cell::new(params.mirostat_mu.get().unwrap_or(first)),
            callback: params.callback.clone(),
            panic: Cell::new(None),
        }
    }

    pub(crate) fn mirostat_mu(&self) -> f32 {
        self.mirostat_mu.get()
    }

    pub(crate) fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        self.panic.take()
    }
}

/// A gpt2_logits_callback, whose `user` is a DrawState with a callback.
unsafe extern "C" fn change_logits(
    user: *mut c_void,
    position: i64,
    logits: *mut f32,
    n_vocab: i32,
) -> i32 {
    let state = unsafe { &*user.cast::<DrawState>() };
    let logits = unsafe { slice::from_raw_parts_mut(logits, n_vocab as usize) };
    let change = || {
        state
            .callback
            .as_ref()
            .map(|callback| (callback.0)(position, logits))
    };
    match catch_unwind(AssertUnwindSafe(change)) {
        Ok(goes_on) => i32::from(goes_on == Some(false)),
        Err(panic) => {
            state.panic.set(Some(panic));
            1
        }
    }
}

impl SampleParams {
    /// The library's struct, which borrows from this one and from `state`.  `n_vocab`: the length
    /// that it reads of `bias`.
    pub(crate) fn raw(&self, n_vocab: usize, state: &DrawState) -> Result<raw::gpt2_sample_params> {
        if !self.bias.is_empty() && self.bias.len() != n_vocab {
            let n = self.bias.len();
            let line = format!("bias has {n} values, wanted {n_vocab} or none");
            return Err(Error::argument(line));
        }
        if self.bias_ids.len() != self.bias_values.len() {
            let (n_ids, n_values) = (self.bias_ids.len(), self.bias_values.len());
            let line =
                format!("bias_values has {n_values} values, wanted {n_ids}, one for each id");
            return Err(Error::argument(line));
        }
        let mut raw = params(raw::gpt2_sample_params_init);
        raw.temperature = self.temperature;
        raw.top_k = self.top_k;
        raw.top_p = self.top_p;
        raw.seed = self.seed;
        raw.stream = self.stream;
        raw.position = self.position.unwrap_or(raw.position);
        raw.top_n_sigma = self.top_n_sigma;
        raw.min_p = self.min_p;
        raw.typical_p = self.typical_p;
        raw.xtc_probability = self.xtc_probability;
        raw.xtc_threshold = self.xtc_threshold;
        raw.mirostat_tau = self.mirostat_tau;
        raw.mirostat_eta = self.mirostat_eta;
        raw.mirostat_mu = state.mirostat_mu.as_ptr();
        raw.penalty_window = self.penalty_window;
        raw.ignores_prompt = i32::from(self.ignores_prompt);
        raw.repetition_penalty = self.repetition_penalty;
        raw.frequency_penalty = self.frequency_penalty;
        raw.presence_penalty = self.presence_penalty;
        raw.dry_multiplier = self.dry_multiplier;
        raw.dry_base = self.dry_base;
        raw.dry_allowed_length = self.dry_allowed_length;
        raw.no_repeat_ngram_size = self.no_repeat_ngram_size;
        if !self.bias.is_empty() {
            raw.bias = self.bias.as_ptr();
        }
        (raw.bias_ids, raw.n_biases) = (self.bias_ids.as_ptr(), self.bias_ids.len());
        raw.bias_values = self.bias_values.as_ptr();
        if !self.history.is_empty() {
            (raw.history, raw.n_history) = (self.history.as_ptr(), self.history.len());
        }
        (raw.dry_breakers, raw.n_dry_breakers) =
            (self.dry_breakers.as_ptr(), self.dry_breakers.len());
        (raw.banned_ids, raw.n_banned) = (self.banned_ids.as_ptr(), self.banned_ids.len());
        (raw.allowed_ids, raw.n_allowed) = (self.allowed_ids.as_ptr(), self.allowed_ids.len());
        if self.callback.is_some() {
            raw.callback = Some(change_logits);
            raw.callback_user = ptr::from_ref(state).cast_mut().cast();
        }
        Ok(raw)
    }
}

impl Session {
    /// Draws the next token, and does not run it.
    pub fn sample(&mut self, params: &SampleParams) -> Result<i32> {
        self.sample_item(0, params)
    }

    /// Draws the next token of an item of the last [`forward_batch`](Session::forward_batch).
    pub fn sample_item(&mut self, item: usize, params: &SampleParams) -> Result<i32> {
        let (session, row, mut id) = (self.raw.as_ptr(), raw::LAST_ROW, 0);
        self.draw(params, |raw| unsafe {
            raw::gpt2_batch_sample(session, item, row, raw, &mut id)
        })?;
        Ok(id)
    }

    /// Draws a token from n_vocab logits of your own.  If the position is None, it is the length of
    /// `history`.
    pub fn sample_logits(&mut self, logits: &[f32], params: &SampleParams) -> Result<i32> {
        let (session, mut id) = (self.raw.as_ptr(), 0);
        self.check_length(logits)?;
        self.draw(params, |raw| unsafe {
            raw::gpt2_sample_logits(session, logits.as_ptr(), raw, &mut id)
        })?;
        Ok(id)
    }

    /// What [`sample_logits`](Session::sample_logits) would draw from: the tokens that are kept,
    /// the most probable first, with their probabilities in the draw.
    pub fn sample_candidates(
        &mut self,
        logits: &[f32],
        params: &SampleParams,
    ) -> Result<Vec<Candidate>> {
        self.check_length(logits)?;
        let (session, mut n_kept) = (self.raw.as_ptr(), 0);
        let mut kept = vec![Candidate::default(); self.n_vocab];
        self.draw(params, |raw| unsafe {
            let (to, capacity) = (kept.as_mut_ptr(), kept.len());
            raw::gpt2_sample_candidates(session, logits.as_ptr(), raw, to, capacity, &mut n_kept)
        })?;
        kept.truncate(n_kept);
        Ok(kept)
    }

    pub(crate) fn check_length(&self, logits: &[f32]) -> Result<()> {
        if logits.len() == self.n_vocab {
            return Ok(());
        }
        let (n, wanted) = (logits.len(), self.n_vocab);
        Err(Error::argument(format!(
            "there are {n} logits, wanted {wanted}"
        )))
    }

    /// Calls a function that draws, and takes over what the draw has changed.
    fn draw(
        &mut self,
        params: &SampleParams,
        call: impl FnOnce(*const raw::gpt2_sample_params) -> i32,
    ) -> Result<()> {
        let state = DrawState::new(params);
        let status = call(&params.raw(self.n_vocab, &state)?);
        if let Some(panic) = state.take_panic() {
            resume_unwind(panic);
        }
        self.check(status)?;
        if params.mirostat_tau != 0.0 {
            params.mirostat_mu.set(Some(state.mirostat_mu()));
        }
        Ok(())
    }
}
