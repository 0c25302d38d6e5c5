//! `gpt2.h`, the part that is used here.  `cargo test` compares the structs with the header.
#![allow(non_camel_case_types)]
use std::ffi::{c_char, c_void};

pub const OK: i32 = 0;
pub const LAST_ROW: i32 = -1;
pub const ENCODE_SPECIAL: u32 = 1;
pub const TYPE_F32: i32 = 0;
pub const TYPE_F16: i32 = 1;
pub const TYPE_BF16: i32 = 2;
pub const TYPE_Q8: i32 = 3;
pub const TYPE_Q4: i32 = 4;
pub const TYPE_AS_FILE: i32 = -1;
pub const FULL_STOP: i32 = 0;
pub const FULL_SHIFT: i32 = 1;
pub const FILE_MAP: i32 = 0;
pub const FILE_READ: i32 = 1;
pub const FINISH_NOT_YET: i32 = 0;
pub const FINISH_TOKEN: i32 = 1;
pub const FINISH_STRING: i32 = 2;
pub const FINISH_LENGTH: i32 = 3;
pub const FINISH_CONTEXT: i32 = 4;
pub const FINISH_PAGES: i32 = 5;
pub const FINISH_CANCELLED: i32 = 6;
pub const FINISH_DEADLINE: i32 = 7;
pub const FINISH_ERROR: i32 = 8;

/// A type of which only pointers are known here.
macro_rules! opaque {
    ($($name:ident)*) => {$(
        #[repr(C)]
        pub struct $name {
            _private: [u8; 0],
        }
    )*};
}

opaque!(gpt2_model gpt2_tokenizer gpt2_encoder gpt2_session gpt2_generator);

pub type gpt2_read_callback = unsafe extern "C" fn(
    user: *mut c_void,
    offset: u64,
    bytes: *mut c_void,
    capacity: usize,
    n_read: *mut usize,
) -> i32;

#[repr(C)]
pub struct gpt2_source {
    pub name: *const c_char,
    pub bytes: *const c_void,
    pub n_bytes: u64,
    pub read: Option<gpt2_read_callback>,
    pub user: *mut c_void,
}

pub type gpt2_progress_callback =
    unsafe extern "C" fn(user: *mut c_void, n_bytes_done: u64, n_bytes_total: u64) -> i32;

#[repr(C)]
pub struct gpt2_model_params {
    pub struct_size: u32,
    pub n_threads: i32,
    pub errbuf: *mut c_char,
    pub errbuf_size: usize,
    pub progress: Option<gpt2_progress_callback>,
    pub progress_user: *mut c_void,
    pub weight_type: i32,
    pub file_access: i32,
    pub shortlist: i32,
    pub reserved: i32,
}

#[repr(C)]
pub struct gpt2_model_info {
    pub struct_size: u32,
    pub n_vocab: i32,
    pub n_positions: i32,
    pub n_embd: i32,
    pub n_layer: i32,
    pub n_head: i32,
    pub n_inner: i32,
    pub activation: i32,
    pub tied_head: i32,
    pub weight_type: i32,
    pub eot_token: i32,
    pub layer_norm_epsilon: f32,
    pub n_parameters: u64,
    pub memory_bytes: u64,
    pub memory_type: i32,
    pub n_kv_head: i32,
    pub file_types: u32,
    pub reserved: i32,
}

#[repr(C)]
#[derive(Clone, Default)]
pub struct gpt2_offsets {
    pub first_byte: usize,
    pub end_byte: usize,
    pub first_char: usize,
    pub end_char: usize,
}

#[repr(C)]
pub struct gpt2_tokenizer_params {
    pub struct_size: u32,
    pub reserved: u32,
    pub errbuf: *mut c_char,
    pub errbuf_size: usize,
}

#[repr(C)]
pub struct gpt2_encoder_params {
    pub struct_size: u32,
    pub reserved: u32,
    pub max_piece_bytes: usize,
    pub errbuf: *mut c_char,
    pub errbuf_size: usize,
}

pub type gpt2_write_callback =
    unsafe extern "C" fn(user: *mut c_void, bytes: *const c_void, n_bytes: usize) -> i32;

pub type gpt2_logits_callback =
    unsafe extern "C" fn(user: *mut c_void, position: i64, logits: *mut f32, n_vocab: i32) -> i32;

pub type gpt2_worker = unsafe extern "C" fn(argument: *mut c_void, index: i32);

pub type gpt2_parallel_for = unsafe extern "C" fn(
    user: *mut c_void,
    n_workers: i32,
    worker: gpt2_worker,
    argument: *mut c_void,
);

#[repr(C)]
pub struct gpt2_session_params {
    pub struct_size: u32,
    pub cpu_mask: u32,
    pub n_threads: i32,
    pub n_ctx: i32,
    pub n_batch: i32,
    pub n_logit_rows: i32,
    pub errbuf: *mut c_char,
    pub errbuf_size: usize,
    pub parallel_for: Option<gpt2_parallel_for>,
    pub parallel_for_user: *mut c_void,
    pub n_sequences: i32,
    pub n_pages: i32,
    pub kv_type: i32,
    pub on_full: i32,
    pub n_keep: i32,
    pub reserved: i32,
}

#[repr(C)]
pub struct gpt2_batch_item {
    pub sequence: i32,
    pub reserved: i32,
    pub tokens: *const i32,
    pub n_tokens: usize,
    pub n_logit_rows: usize,
}

#[repr(C)]
pub struct gpt2_sample_params {
    pub struct_size: u32,
    pub temperature: f32,
    pub top_k: i32,
    pub top_p: f32,
    pub seed: u64,
    pub stream: u64,
    pub position: i64,
    pub top_n_sigma: f32,
    pub min_p: f32,
    pub typical_p: f32,
    pub xtc_probability: f32,
    pub xtc_threshold: f32,
    pub mirostat_tau: f32,
    pub mirostat_eta: f32,
    pub penalty_window: i32,
    pub ignores_prompt: i32,
    pub repetition_penalty: f32,
    pub frequency_penalty: f32,
    pub presence_penalty: f32,
    pub dry_multiplier: f32,
    pub dry_base: f32,
    pub dry_allowed_length: i32,
    pub no_repeat_ngram_size: i32,
    pub mirostat_mu: *mut f32,
    pub bias: *const f32,
    pub bias_ids: *const i32,
    pub bias_values: *const f32,
    pub n_biases: usize,
    pub history: *const i32,
    pub n_history: usize,
    pub dry_breakers: *const i32,
    pub n_dry_breakers: usize,
    pub banned_ids: *const i32,
    pub n_banned: usize,
    pub allowed_ids: *const i32,
    pub n_allowed: usize,
    pub callback: Option<gpt2_logits_callback>,
    pub callback_user: *mut c_void,
}

/// A token and its probability.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct gpt2_candidate {
    /// The token.
    pub id: i32,
    /// Its probability in the draw.
    pub probability: f32,
}

#[repr(C)]
pub struct gpt2_generator_params {
    pub struct_size: u32,
    pub ignore_eot: i32,
    pub stop_ids: *const i32,
    pub n_stop_ids: usize,
    pub stop_strings: *const *const c_char,
    pub n_stop_strings: usize,
    pub errbuf: *mut c_char,
    pub errbuf_size: usize,
    pub shortlist: i32,
    pub draft_max: i32,
}

#[repr(C)]
#[derive(Clone)]
pub struct gpt2_generated {
    pub id: i32,
    pub finish: i32,
    pub text: *const c_char,
    pub n_bytes: usize,
}

#[repr(C)]
pub struct gpt2_score_params {
    pub struct_size: u32,
    pub n_likeliest: i32,
    pub class_mask: *const u8,
}

#[repr(C)]
#[derive(Clone, Default)]
pub struct gpt2_token_score {
    pub id: i32,
    pub rank: i32,
    pub logprob: f64,
    pub entropy: f64,
    pub class_prob: f64,
}

/// A token and the natural logarithm of its probability.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct gpt2_token_logprob {
    /// The token.
    pub id: i32,
    /// The natural logarithm.
    pub logprob: f32,
}

#[repr(C)]
pub struct gpt2_score_item {
    pub sequence: i32,
    pub reserved: i32,
    pub tokens: *const i32,
    pub n_tokens: usize,
    pub n_prefix: usize,
    pub scores: *mut gpt2_token_score,
    pub likeliest: *mut gpt2_token_logprob,
}

#[repr(C)]
pub struct gpt2_tap {
    pub struct_size: u32,
    pub kind: i32,
    pub layer: i32,
    pub head: i32,
    pub first_row: i32,
    pub first_position: i32,
    pub n_rows: i32,
    pub n_columns: i32,
    pub row_stride: usize,
    pub data: *mut f32,
    pub sequence: i32,
    pub reserved: i32,
}

pub type gpt2_tap_callback = unsafe extern "C" fn(user: *mut c_void, tap: *const gpt2_tap) -> i32;

extern "C" {
    pub fn gpt2_version() -> *const c_char;
    pub fn gpt2_strerror(status: i32) -> *const c_char;
    pub fn gpt2_model_params_init(params: *mut gpt2_model_params, struct_size: usize) -> i32;
    pub fn gpt2_model_load(
        path: *const c_char,
        params: *const gpt2_model_params,
        model: *mut *mut gpt2_model,
    ) -> i32;
    pub fn gpt2_model_load_sources(
        sources: *const gpt2_source,
        n_sources: usize,
        params: *const gpt2_model_params,
        model: *mut *mut gpt2_model,
    ) -> i32;
    pub fn gpt2_model_tensor(
        model: *const gpt2_model,
        name: *const c_char,
        shape: *mut i64,
        values: *mut f32,
        n_values: usize,
        errbuf: *mut c_char,
        errbuf_size: usize,
    ) -> i32;
    pub fn gpt2_model_write(
        model: *const gpt2_model,
        name: *const c_char,
        write: gpt2_write_callback,
        user: *mut c_void,
        errbuf: *mut c_char,
        errbuf_size: usize,
    ) -> i32;
    pub fn gpt2_model_free(model: *mut gpt2_model);
    pub fn gpt2_model_info_init(info: *mut gpt2_model_info, struct_size: usize) -> i32;
    pub fn gpt2_model_get_info(model: *const gpt2_model, info: *mut gpt2_model_info) -> i32;
    pub fn gpt2_model_tokenizer(model: *const gpt2_model) -> *const gpt2_tokenizer;
    pub fn gpt2_model_tokenizer_error(model: *const gpt2_model) -> *const c_char;
    pub fn gpt2_tokenizer_params_init(
        params: *mut gpt2_tokenizer_params,
        struct_size: usize,
    ) -> i32;
    pub fn gpt2_tokenizer_load(
        path: *const c_char,
        params: *const gpt2_tokenizer_params,
        tokenizer: *mut *mut gpt2_tokenizer,
    ) -> i32;
    pub fn gpt2_tokenizer_free(tokenizer: *mut gpt2_tokenizer);
    pub fn gpt2_tokenizer_n_vocab(tokenizer: *const gpt2_tokenizer) -> i32;
    pub fn gpt2_tokenizer_eot(tokenizer: *const gpt2_tokenizer) -> i32;
    pub fn gpt2_tokenizer_bos(tokenizer: *const gpt2_tokenizer) -> i32;
    pub fn gpt2_tokenizer_is_added(tokenizer: *const gpt2_tokenizer, id: i32) -> i32;
    pub fn gpt2_tokenizer_token_bytes(
        tokenizer: *const gpt2_tokenizer,
        id: i32,
        bytes: *mut *const c_char,
        n_bytes: *mut usize,
    ) -> i32;
    pub fn gpt2_decode(
        tokenizer: *const gpt2_tokenizer,
        ids: *const i32,
        n_ids: usize,
        text: *mut c_char,
        capacity: usize,
        n_bytes: *mut usize,
        errbuf: *mut c_char,
        errbuf_size: usize,
    ) -> i32;
    pub fn gpt2_token_offsets(
        tokenizer: *const gpt2_tokenizer,
        ids: *const i32,
        n_ids: usize,
        offsets: *mut gpt2_offsets,
    ) -> i32;
    pub fn gpt2_encoder_params_init(params: *mut gpt2_encoder_params, struct_size: usize) -> i32;
    pub fn gpt2_encoder_create(
        tokenizer: *const gpt2_tokenizer,
        params: *const gpt2_encoder_params,
        encoder: *mut *mut gpt2_encoder,
    ) -> i32;
    pub fn gpt2_encoder_free(encoder: *mut gpt2_encoder);
    pub fn gpt2_encoder_error(encoder: *const gpt2_encoder) -> *const c_char;
    pub fn gpt2_encode(
        encoder: *mut gpt2_encoder,
        text: *const c_char,
        n_bytes: usize,
        flags: u32,
        ids: *mut i32,
        capacity: usize,
        n_ids: *mut usize,
    ) -> i32;
    pub fn gpt2_session_params_init(params: *mut gpt2_session_params, struct_size: usize) -> i32;
    pub fn gpt2_session_create(
        model: *const gpt2_model,
        params: *const gpt2_session_params,
        session: *mut *mut gpt2_session,
    ) -> i32;
    pub fn gpt2_session_free(session: *mut gpt2_session);
    pub fn gpt2_session_reset(session: *mut gpt2_session) -> i32;
    pub fn gpt2_session_position(session: *const gpt2_session) -> i32;
    pub fn gpt2_session_n_free_pages(session: *const gpt2_session) -> i32;
    pub fn gpt2_session_n_ctx(session: *const gpt2_session) -> i32;
    pub fn gpt2_session_kernels(session: *const gpt2_session) -> *const c_char;
    pub fn gpt2_session_cancel(session: *mut gpt2_session);
    pub fn gpt2_session_set_tap(
        session: *mut gpt2_session,
        callback: Option<gpt2_tap_callback>,
        user: *mut c_void,
        kinds: u32,
    ) -> i32;
    pub fn gpt2_tap_name(kind: i32, layer: i32, name: *mut c_char, capacity: usize) -> i32;
    pub fn gpt2_clock_ns() -> u64;
    pub fn gpt2_session_set_deadline(session: *mut gpt2_session, deadline_ns: u64) -> i32;
    pub fn gpt2_session_error(session: *const gpt2_session) -> *const c_char;
    pub fn gpt2_forward(
        session: *mut gpt2_session,
        tokens: *const i32,
        n_tokens: usize,
        n_logit_rows: usize,
    ) -> i32;
    pub fn gpt2_forward_batch(
        session: *mut gpt2_session,
        items: *const gpt2_batch_item,
        n_items: usize,
    ) -> i32;
    pub fn gpt2_batch_logits(
        session: *mut gpt2_session,
        item: usize,
        row: i32,
        logits: *mut *const f32,
    ) -> i32;
    pub fn gpt2_sequence_open(session: *mut gpt2_session, sequence: *mut i32) -> i32;
    pub fn gpt2_sequence_close(session: *mut gpt2_session, sequence: i32) -> i32;
    pub fn gpt2_sequence_fork(
        session: *mut gpt2_session,
        sequence: i32,
        position: i32,
        fork: *mut i32,
    ) -> i32;
    pub fn gpt2_sequence_truncate(session: *mut gpt2_session, sequence: i32, position: i32) -> i32;
    pub fn gpt2_sequence_position(
        session: *mut gpt2_session,
        sequence: i32,
        position: *mut i32,
    ) -> i32;
    pub fn gpt2_sequence_ids(
        session: *mut gpt2_session,
        sequence: i32,
        ids: *mut *const i32,
        n_ids: *mut usize,
    ) -> i32;
    pub fn gpt2_sequence_save(
        session: *mut gpt2_session,
        sequence: i32,
        bytes: *mut c_void,
        capacity: usize,
        n_bytes: *mut usize,
    ) -> i32;
    pub fn gpt2_sequence_write(
        session: *mut gpt2_session,
        sequence: i32,
        write: gpt2_write_callback,
        user: *mut c_void,
    ) -> i32;
    pub fn gpt2_sequence_restore(
        session: *mut gpt2_session,
        sequence: i32,
        bytes: *const c_void,
        n_bytes: usize,
    ) -> i32;
    pub fn gpt2_sample_params_init(params: *mut gpt2_sample_params, struct_size: usize) -> i32;
    pub fn gpt2_batch_sample(
        session: *mut gpt2_session,
        item: usize,
        row: i32,
        params: *const gpt2_sample_params,
        id: *mut i32,
    ) -> i32;
    pub fn gpt2_sample_logits(
        session: *mut gpt2_session,
        logits: *const f32,
        params: *const gpt2_sample_params,
        id: *mut i32,
    ) -> i32;
    pub fn gpt2_sample_candidates(
        session: *mut gpt2_session,
        logits: *const f32,
        params: *const gpt2_sample_params,
        candidates: *mut gpt2_candidate,
        capacity: usize,
        n_kept: *mut usize,
    ) -> i32;
    pub fn gpt2_generator_params_init(
        params: *mut gpt2_generator_params,
        struct_size: usize,
    ) -> i32;
    pub fn gpt2_generator_create(
        session: *mut gpt2_session,
        params: *const gpt2_generator_params,
        generator: *mut *mut gpt2_generator,
    ) -> i32;
    pub fn gpt2_generator_free(generator: *mut gpt2_generator);
    pub fn gpt2_generator_start(
        generator: *mut gpt2_generator,
        sequence: i32,
        ids: *const i32,
        n_ids: usize,
        max_tokens: i64,
        sampling: *const gpt2_sample_params,
    ) -> i32;
    pub fn gpt2_generator_step(
        generators: *const *mut gpt2_generator,
        n: usize,
        results: *mut gpt2_generated,
    ) -> i32;
    pub fn gpt2_generator_drafted(
        generator: *const gpt2_generator,
        n_drafted: *mut u64,
        n_accepted: *mut u64,
    ) -> i32;
    pub fn gpt2_generator_error(generator: *const gpt2_generator) -> *const c_char;
    pub fn gpt2_score_params_init(params: *mut gpt2_score_params, struct_size: usize) -> i32;
    pub fn gpt2_score(
        session: *mut gpt2_session,
        items: *const gpt2_score_item,
        n_items: usize,
        params: *const gpt2_score_params,
    ) -> i32;
    pub fn gpt2_score_logits(
        session: *mut gpt2_session,
        logits: *const f32,
        token: i32,
        params: *const gpt2_score_params,
        score: *mut gpt2_token_score,
        likeliest: *mut gpt2_token_logprob,
    ) -> i32;
}
