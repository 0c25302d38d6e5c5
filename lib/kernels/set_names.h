/*
 * set_names.h: each instruction set has its own types and functions.  The source calls them by one name; for
 * the compiler the name ends with the set's: v16_add is v16_add_avx2.  So all sets can stand in one file of
 * C, and a profile tells them apart.
 *
 * What is listed here has that end wherever it stands; other names are written OF_SET(name).  An instruction
 * set's file defines SET before.
 */
#ifndef SET_NAMES_H
#define SET_NAMES_H

#define SET_JOIN(name, set) name##_##set
#define SET_NAME(name, set) SET_JOIN(name, set)
#define OF_SET(name)        SET_NAME(name, SET)

#define SET_TEXT_OF(set) GPT2I_TEXT_OF(set)
#define SET_TEXT         SET_TEXT_OF(SET)

/* types */
#define v16       OF_SET(v16)
#define v16i      OF_SET(v16i)
#define q_quads   OF_SET(q_quads)
#define q_weights OF_SET(q_weights)
#define q_table   OF_SET(q_table)
#define q_input   OF_SET(q_input)
#define q_inputs  OF_SET(q_inputs)
#define q_panel   OF_SET(q_panel)
#define long_sum  OF_SET(long_sum)
#define row_lanes OF_SET(row_lanes)

/* operations: kernels_template.h, quantised_template.h */
#define v16_set1           OF_SET(v16_set1)
#define v16_load           OF_SET(v16_load)
#define v16_store          OF_SET(v16_store)
#define v16_load_f16       OF_SET(v16_load_f16)
#define v16_load_bf16      OF_SET(v16_load_bf16)
#define v16_store_f16      OF_SET(v16_store_f16)
#define v16_load_n         OF_SET(v16_load_n)
#define v16_store_n        OF_SET(v16_store_n)
#define v16_add            OF_SET(v16_add)
#define v16_sub            OF_SET(v16_sub)
#define v16_mul            OF_SET(v16_mul)
#define v16_div            OF_SET(v16_div)
#define v16_fma            OF_SET(v16_fma)
#define v16_max            OF_SET(v16_max)
#define v16_min            OF_SET(v16_min)
#define v16_where_negative OF_SET(v16_where_negative)
#define v16_not_below      OF_SET(v16_not_below)
#define v16_where_bits     OF_SET(v16_where_bits)
#define v16_scale_pow2     OF_SET(v16_scale_pow2)
#define v16_fold_add       OF_SET(v16_fold_add)
#define v16_fold_max       OF_SET(v16_fold_max)
#define v16i_set1          OF_SET(v16i_set1)
#define v16_of_ints        OF_SET(v16_of_ints)
#define q_load             OF_SET(q_load)
#define q_load_table       OF_SET(q_load_table)
#define q_low              OF_SET(q_low)
#define q_high             OF_SET(q_high)
#define q_weights_of       OF_SET(q_weights_of)
#define q_store            OF_SET(q_store)
#define q_input_of         OF_SET(q_input_of)
#define q_dot              OF_SET(q_dot)

/* what v16_*.h and q_*.h make them of */
#define first_lanes      OF_SET(first_lanes)
#define load_bf16_8      OF_SET(load_bf16_8)
#define where_negative   OF_SET(where_negative)
#define scale_far        OF_SET(scale_far)
#define look_up          OF_SET(look_up)
#define load_f16_4       OF_SET(load_f16_4)
#define load_bf16_4      OF_SET(load_bf16_4)
#define store_f16_4      OF_SET(store_f16_4)
#define max_4            OF_SET(max_4)
#define min_4            OF_SET(min_4)
#define not_below_4      OF_SET(not_below_4)
#define where_bits_4     OF_SET(where_bits_4)
#define where_negative_4 OF_SET(where_negative_4)
#define scale_pow2_4     OF_SET(scale_pow2_4)
#define eight_integers   OF_SET(eight_integers)
#define sixteen_integers OF_SET(sixteen_integers)
#define without_offset   OF_SET(without_offset)

/* what the templates define for themselves */
#define load_upto           OF_SET(load_upto)
#define store_upto          OF_SET(store_upto)
#define add_floats          OF_SET(add_floats)
#define add_to_total        OF_SET(add_to_total)
#define exp_of_rest_minus_1 OF_SET(exp_of_rest_minus_1)
#define v16_exp_in_range    OF_SET(v16_exp_in_range)
#define v16_exp             OF_SET(v16_exp)
#define gelu_tanh_16        OF_SET(gelu_tanh_16)
#define gelu_erf_16         OF_SET(gelu_erf_16)
#define relu_16             OF_SET(relu_16)
#define silu_16             OF_SET(silu_16)
#define quick_gelu_16       OF_SET(quick_gelu_16)
#define tanh_16             OF_SET(tanh_16)
#define mish_16             OF_SET(mish_16)
#define load_upto_or        OF_SET(load_upto_or)
#define end_chain           OF_SET(end_chain)
#define end_chains          OF_SET(end_chains)
#define fold_in_double      OF_SET(fold_in_double)
#define add_logits          OF_SET(add_logits)
#define quantise_block      OF_SET(quantise_block)
#define q_panel_of          OF_SET(q_panel_of)
#define q_ahead             OF_SET(q_ahead)
#define q_unpack            OF_SET(q_unpack)
#define q_tile              OF_SET(q_tile)
#define q_rows              OF_SET(q_rows)
#define q8_plain            OF_SET(q8_plain)
#define q4_plain            OF_SET(q4_plain)
#define q8_widened          OF_SET(q8_widened)
#define q4_widened          OF_SET(q4_widened)
#define q_widen             OF_SET(q_widen)

#endif
