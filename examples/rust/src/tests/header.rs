//! Structs and taps against the header, by a C compiler.
use super::*;
use std::process::Stdio;

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
                let bytes = std::mem::size_of_val(&all.$field);
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

/// Compiles C behind the header.
fn assert_compiles(c: &str) {
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
fn structs_are_the_headers() {
    let c = same_layout! {
        gpt2_source { name bytes n_bytes read user }
        gpt2_model_params { struct_size n_threads errbuf errbuf_size progress progress_user
            weight_type file_access shortlist reserved }
        gpt2_model_info { struct_size n_vocab n_positions n_embd n_layer n_head n_inner activation
            tied_head weight_type eot_token layer_norm_epsilon n_parameters memory_bytes
            memory_type n_kv_head file_types reserved }
        gpt2_tokenizer_params { struct_size reserved errbuf errbuf_size }
        gpt2_tap { struct_size kind layer head first_row first_position n_rows n_columns
            row_stride data sequence reserved }
        gpt2_offsets { first_byte end_byte first_char end_char }
        gpt2_candidate { id probability }
        gpt2_generator_params { struct_size ignore_eot stop_ids n_stop_ids stop_strings
            n_stop_strings errbuf errbuf_size shortlist draft_max }
        gpt2_generated { id finish text n_bytes }
        gpt2_score_params { struct_size n_likeliest class_mask }
        gpt2_token_score { id rank logprob entropy class_prob }
        gpt2_token_logprob { id logprob }
        gpt2_score_item { sequence reserved tokens n_tokens n_prefix scores likeliest }
        gpt2_encoder_params { struct_size reserved max_piece_bytes errbuf errbuf_size }
        gpt2_session_params { struct_size cpu_mask n_threads n_ctx n_batch n_logit_rows
            errbuf errbuf_size parallel_for parallel_for_user n_sequences n_pages kv_type on_full
            n_keep reserved }
        gpt2_batch_item { sequence reserved tokens n_tokens n_logit_rows }
        gpt2_sample_params { struct_size temperature top_k top_p seed stream position
            top_n_sigma min_p typical_p xtc_probability xtc_threshold mirostat_tau mirostat_eta
            penalty_window ignores_prompt repetition_penalty frequency_penalty presence_penalty
            dry_multiplier dry_base dry_allowed_length no_repeat_ngram_size mirostat_mu
            bias bias_ids bias_values n_biases history n_history dry_breakers n_dry_breakers
            banned_ids n_banned allowed_ids n_allowed callback callback_user }
    };
    assert_compiles(&c);
}

#[test]
fn kinds_of_taps_are_the_headers() {
    let mut c = String::from("#include <gpt2.h>\n");
    let taps = "EMBED LN_1 ATTN_QKV ATTN_SCORES ATTN_PROBS ATTN_CTX ATTN_OUT LN_2 MLP_FC MLP_ACT \
        MLP_OUT BLOCK LN_F LOGITS COUNT";
    let numbers = TapKind::ALL.iter().map(|kind| *kind as usize);
    for (name, number) in taps.split(' ').zip(numbers.chain([TapKind::ALL.len()])) {
        c += &format!("_Static_assert(GPT2_TAP_{name} == {number}, \"{name}\");\n");
    }
    assert_compiles(&c);
}

#[test]
fn the_version_is_the_packages() {
    assert_eq!(version(), env!("CARGO_PKG_VERSION"));
}
