//! How a token is chosen.
use crate::{params, raw};

/// How a token is chosen; fields as in `gpt2.h`.
#[derive(Debug, Clone)]
pub struct SampleParams {
    pub temperature: f32,
    pub top_k: i32,
    pub top_p: f32,
    pub seed: u64,
    pub stream: u64,
    /// None: the position of the token in its text.
    pub position: Option<i64>,
    pub top_n_sigma: f32,
    pub min_p: f32,
    pub typical_p: f32,
    pub xtc_probability: f32,
    pub xtc_threshold: f32,
    pub penalty_window: i32,
    pub repetition_penalty: f32,
    pub frequency_penalty: f32,
    pub presence_penalty: f32,
    pub dry_multiplier: f32,
    pub dry_base: f32,
    pub dry_allowed_length: i32,
    pub no_repeat_ngram_size: i32,
    /// What is added to the logits of all tokens; empty: nothing.
    pub bias: Vec<f32>,
    pub bias_ids: Vec<i32>,
    /// One for each of `bias_ids`.
    pub bias_values: Vec<f32>,
    pub history: Vec<i32>,
    pub dry_breakers: Vec<i32>,
    pub banned_ids: Vec<i32>,
    /// Empty: all.
    pub allowed_ids: Vec<i32>,
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
            penalty_window: raw.penalty_window,
            repetition_penalty: raw.repetition_penalty,
            frequency_penalty: raw.frequency_penalty,
            presence_penalty: raw.presence_penalty,
            dry_multiplier: raw.dry_multiplier,
            dry_base: raw.dry_base,
            dry_allowed_length: raw.dry_allowed_length,
            no_repeat_ngram_size: raw.no_repeat_ngram_size,
            bias: Vec::new(),
            bias_ids: Vec::new(),
            bias_values: Vec::new(),
            history: Vec::new(),
            dry_breakers: Vec::new(),
            banned_ids: Vec::new(),
            allowed_ids: Vec::new(),
        }
    }
}

impl SampleParams {
    /// The library's struct, which borrows from this one.  `n_vocab`: the length that it reads of
    /// `bias`.
    pub(crate) fn raw(&self, n_vocab: usize) -> raw::gpt2_sample_params {
        assert!(
            self.bias.is_empty() || self.bias.len() == n_vocab,
            "bias has {} values, wanted {n_vocab} or none",
            self.bias.len()
        );
        assert_eq!(
            self.bias_ids.len(),
            self.bias_values.len(),
            "bias_ids and bias_values differ in length"
        );
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
        raw.penalty_window = self.penalty_window;
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
        (raw.history, raw.n_history) = (self.history.as_ptr(), self.history.len());
        (raw.dry_breakers, raw.n_dry_breakers) =
            (self.dry_breakers.as_ptr(), self.dry_breakers.len());
        (raw.banned_ids, raw.n_banned) = (self.banned_ids.as_ptr(), self.banned_ids.len());
        (raw.allowed_ids, raw.n_allowed) = (self.allowed_ids.as_ptr(), self.allowed_ids.len());
        raw
    }
}
