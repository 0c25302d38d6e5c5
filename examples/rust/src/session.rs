//! Sessions and their sequences.
use crate::tap::TapState;
use crate::{check, create, params, raw, status, writing::write_to, Error, Model, Result};
use std::any::Any;
use std::ffi::CStr;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use std::{fmt, io, ptr, ptr::NonNull, slice};

impl Model {
    /// A session for one text, run on `threads` threads; 0: one for each CPU.
    pub fn session(&self, threads: i32) -> Result<Session> {
        self.session_with(&SessionParams {
            n_threads: threads,
            ..Default::default()
        })
    }

    /// A session for as many texts as `given` says.
    pub fn session_with(&self, given: &SessionParams) -> Result<Session> {
        let mut params = params(raw::gpt2_session_params_init);
        params.cpu_mask = given.cpu_mask;
        params.n_threads = given.n_threads;
        params.n_ctx = given.n_ctx;
        params.n_batch = given.n_batch;
        params.n_logit_rows = given.n_logit_rows;
        params.n_sequences = given.n_sequences;
        params.n_pages = given.n_pages;
        params.kv_type = given.kv_type as i32;
        params.on_full = given.on_full as i32;
        params.n_keep = given.n_keep;
        let session = create(|line, size, session| {
            (params.errbuf, params.errbuf_size) = (line, size);
            unsafe { raw::gpt2_session_create(self.as_ptr(), &params, session) }
        })?;
        #[allow(clippy::arc_with_non_send_sync)] // what threads share is its count
        let raw = Arc::new(Handle(session, self.clone()));
        Ok(Session {
            raw,
            n_vocab: self.info().n_vocab as usize,
            dropped: Default::default(),
            tap: None,
        })
    }
}

/// What a session is made for.
#[derive(Debug, Clone)]
pub struct SessionParams {
    /// Threads, the caller's included; 0: one for each CPU.
    pub n_threads: i32,
    /// The most positions of a sequence; 0: the model's n_positions.
    pub n_ctx: i32,
    /// The most rows of one internal step.
    pub n_batch: i32,
    /// The most rows of logits that one call keeps, of all its sequences together; 0: one for each
    /// sequence.
    pub n_logit_rows: i32,
    /// Texts that can be open at the same time.
    pub n_sequences: i32,
    /// Pages of the KV cache, of 64 positions; 0: enough for n_ctx positions of each sequence.
    pub n_pages: i32,
    /// The type of keys and values in the cache.
    pub kv_type: KvType,
    /// What happens at the end of the context.
    pub on_full: OnFull,
    /// For [`OnFull::Shift`]: first tokens of a text that stay.
    pub n_keep: i32,
    /// GPT2_CPU_* groups of `gpt2.h` that the kernels may use.  They change no result.
    pub cpu_mask: u32,
}

impl Default for SessionParams {
    fn default() -> Self {
        let raw = params(raw::gpt2_session_params_init);
        SessionParams {
            n_threads: raw.n_threads,
            n_ctx: raw.n_ctx,
            n_batch: raw.n_batch,
            n_logit_rows: raw.n_logit_rows,
            n_sequences: raw.n_sequences,
            n_pages: raw.n_pages,
            kv_type: KvType::F32,
            on_full: OnFull::Stop,
            n_keep: raw.n_keep,
            cpu_mask: raw.cpu_mask,
        }
    }
}

/// Type of keys and values in the cache.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvType {
    /// 32 bits.
    F32 = raw::TYPE_F32,
    /// Half the memory.
    F16 = raw::TYPE_F16,
}

/// What happens at the end of the context.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFull {
    /// [`status::CONTEXT`].
    Stop = raw::FULL_STOP,
    /// The text is cut: its first n_keep tokens and the newest half of the others stay.
    Shift = raw::FULL_SHIFT,
}

/// Open sequences that were dropped: the session closes them before its next call that needs room.
/// Sequences of one session share it, until [`Session::reset`] makes a new one.
type Dropped = Arc<Mutex<Vec<i32>>>;

/// One text of a session, which closes it when this and its clones are dropped.
#[derive(Debug, Clone)]
pub struct Sequence(Arc<Open>);

impl Sequence {
    /// Its number in the session, as in [`Tap::sequence`](crate::Tap::sequence).
    pub fn number(&self) -> i32 {
        self.0.number
    }
}

#[derive(Debug)]
struct Open {
    number: i32,
    dropped: Dropped,
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.number != 0 {
            self.dropped.lock().unwrap().push(self.number);
        }
    }
}

/// One sequence's part of [`Session::forward_batch`].
#[derive(Debug, Clone, Copy)]
pub struct BatchItem<'a> {
    /// The sequence; each at most once in a batch.
    pub sequence: &'a Sequence,
    /// Its new tokens, one or more.
    pub tokens: &'a [i32],
    /// Of how many last tokens the logits are kept; more than there are means all.
    pub n_logit_rows: usize,
}

/// The library's session.  A [`Session`] and its generators share it; the last one of them that is
/// dropped frees it, and then its model goes.
pub(crate) struct Handle(NonNull<raw::gpt2_session>, Model);

impl Handle {
    pub(crate) fn as_ptr(&self) -> *mut raw::gpt2_session {
        self.0.as_ptr()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        unsafe { raw::gpt2_session_free(self.0.as_ptr()) }
    }
}

/// Texts being read and written, by one thread at a time.  It keeps its model.
///
/// [`forward`](Session::forward), [`sample`](Session::sample) and [`position`](Session::position)
/// are about sequence 0, which is always open.  Where a [`Sequence`] is wanted, it is
/// [`first`](Session::first).
///
/// ```no_run
/// let model = gpt2::Model::load("gpt2")?;
/// let mut session = model.session(1)?;
/// let first = session.forward(&[1])?[0]; // a copy of one logit
/// drop(model); // the session keeps it
/// session.forward(&[2])?;
/// println!("{first}");
/// # Ok::<(), gpt2::Error>(())
/// ```
///
/// Logits are not there any more after the next call:
///
/// ```compile_fail
/// let model = gpt2::Model::load("gpt2")?;
/// let mut session = model.session(1)?;
/// let logits = session.forward(&[1])?;
/// session.forward(&[2])?;
/// println!("{}", logits[0]);
/// # Ok::<(), gpt2::Error>(())
/// ```
///
/// nor are those of a batch, or the ids of a sequence:
///
/// ```compile_fail
/// let model = gpt2::Model::load("gpt2")?;
/// let mut session = model.session(1)?;
/// let (sequence, tokens) = (session.first(), [1]);
/// let items = [gpt2::BatchItem { sequence: &sequence, tokens: &tokens, n_logit_rows: 1 }];
/// let logits = session.forward_batch(&items)?;
/// session.truncate(&sequence, 0)?;
/// println!("{}", logits[0][0][0]);
/// # Ok::<(), gpt2::Error>(())
/// ```
///
/// ```compile_fail
/// let model = gpt2::Model::load("gpt2")?;
/// let mut session = model.session(1)?;
/// let sequence = session.first();
/// let ids = session.ids(&sequence)?;
/// session.forward(&[1])?;
/// println!("{ids:?}");
/// # Ok::<(), gpt2::Error>(())
/// ```
///
/// One thread at a time has a session:
///
/// ```compile_fail
/// fn shared<T: Sync>() {}
/// shared::<gpt2::Session>();
/// ```
pub struct Session {
    pub(crate) raw: Arc<Handle>,
    pub(crate) n_vocab: usize,
    pub(crate) tap: Option<Rc<TapState>>, // no Box: one that moves may invalidate pointers to it
    dropped: Dropped,
}

// But not Sync: one thread at a time has the Session, and a generator elsewhere does not use what
// it shares with it but to free it in the end.  Nothing but this Session refers to `tap`.
unsafe impl Send for Session {}

impl Session {
    pub(crate) fn check(&self, status: i32) -> Result<()> {
        check(status, unsafe {
            CStr::from_ptr(raw::gpt2_session_error(self.raw.as_ptr()))
        })
    }

    /// The panic of a tap in the last call.
    pub(crate) fn tap_panic(&self) -> Option<Box<dyn Any + Send>> {
        self.tap.as_ref().and_then(|tap| tap.take_panic())
    }

    /// What a call that runs tokens has returned; a panic of a tap goes on here.
    pub(crate) fn check_run(&self, status: i32) -> Result<()> {
        if let Some(panic) = self.tap_panic() {
            resume_unwind(panic);
        }
        self.check(status)
    }

    /// The session for a call that may need room, after it has closed what was dropped.
    pub(crate) fn with_room(&mut self) -> *mut raw::gpt2_session {
        for number in self.dropped.lock().unwrap().drain(..) {
            unsafe { raw::gpt2_sequence_close(self.raw.as_ptr(), number) };
        }
        self.raw.as_ptr()
    }

    pub(crate) fn number(&self, sequence: &Sequence) -> Result<i32> {
        if Arc::ptr_eq(&sequence.0.dropped, &self.dropped) {
            return Ok(sequence.0.number);
        }
        Err(Error {
            status: status::SEQUENCE,
            line: "the sequence is of another session, or of before a reset".into(),
        })
    }

    fn new_sequence(&self, number: i32) -> Sequence {
        Sequence(Arc::new(Open {
            number,
            dropped: self.dropped.clone(),
        }))
    }

    /// Appends tokens, one or more, to sequence 0 and runs them: the n_vocab logits after the last
    /// one.
    pub fn forward(&mut self, ids: &[i32]) -> Result<&[f32]> {
        let session = self.with_room();
        self.check_run(unsafe { raw::gpt2_forward(session, ids.as_ptr(), ids.len(), 1) })?;
        self.logits(0)
    }

    /// [`forward`](Session::forward) with the logits after each of the last `n_logit_rows` tokens;
    /// more than there are means all.  The session's n_logit_rows is the most.
    pub fn forward_rows(&mut self, ids: &[i32], n_logit_rows: usize) -> Result<Vec<&[f32]>> {
        let (session, n) = (self.with_room(), ids.len());
        self.check_run(unsafe { raw::gpt2_forward(session, ids.as_ptr(), n, n_logit_rows) })?;
        self.rows(0, n, n_logit_rows)
    }

    /// The rows of the last n_logit_rows of an item's n tokens.
    fn rows(&self, item: usize, n: usize, n_logit_rows: usize) -> Result<Vec<&[f32]>> {
        let rows = n.saturating_sub(n_logit_rows)..n;
        rows.map(|row| self.row(item, row as i32)).collect()
    }

    /// [`forward`](Session::forward) of several sequences together.  `[item][row]` are n_vocab
    /// logits; the rows are those of the item's last n_logit_rows tokens.  Each sequence gets the
    /// bits that it gets alone.  All or nothing: if it fails, every sequence is as before.
    pub fn forward_batch(&mut self, items: &[BatchItem]) -> Result<Vec<Vec<&[f32]>>> {
        let batch: Vec<raw::gpt2_batch_item> = items
            .iter()
            .map(|item| {
                Ok(raw::gpt2_batch_item {
                    sequence: self.number(item.sequence)?,
                    reserved: 0,
                    tokens: item.tokens.as_ptr(),
                    n_tokens: item.tokens.len(),
                    n_logit_rows: item.n_logit_rows,
                })
            })
            .collect::<Result<_>>()?;
        let session = self.with_room();
        self.check_run(unsafe { raw::gpt2_forward_batch(session, batch.as_ptr(), batch.len()) })?;
        let session = &*self;
        let rows_of =
            |(i, item): (usize, &BatchItem)| session.rows(i, item.tokens.len(), item.n_logit_rows);
        items.iter().enumerate().map(rows_of).collect()
    }

    /// The last row of logits of an item of the last [`forward_batch`](Session::forward_batch) or
    /// [`step_all`](Session::step_all).  An item of a step is a generator whose tokens have run.
    pub fn logits(&self, item: usize) -> Result<&[f32]> {
        self.row(item, raw::LAST_ROW)
    }

    fn row(&self, item: usize, row: i32) -> Result<&[f32]> {
        let mut logits = ptr::null();
        self.check(unsafe { raw::gpt2_batch_logits(self.raw.as_ptr(), item, row, &mut logits) })?;
        Ok(unsafe { slice::from_raw_parts(logits, self.n_vocab) })
    }

    /// Sequence 0, the text of [`forward`](Session::forward).  It stays open when this is dropped.
    pub fn first(&self) -> Sequence {
        self.new_sequence(0)
    }

    /// Opens an empty sequence.
    pub fn sequence(&mut self) -> Result<Sequence> {
        let (session, mut number) = (self.with_room(), 0);
        self.check(unsafe { raw::gpt2_sequence_open(session, &mut number) })?;
        Ok(self.new_sequence(number))
    }

    /// Opens a sequence with the first `position` tokens of another.  It shares their keys and
    /// values.
    pub fn fork(&mut self, sequence: &Sequence, position: i32) -> Result<Sequence> {
        let (from, session, mut number) = (self.number(sequence)?, self.with_room(), 0);
        self.check(unsafe { raw::gpt2_sequence_fork(session, from, position, &mut number) })?;
        Ok(self.new_sequence(number))
    }

    /// Takes back all tokens of a sequence from `position` on.
    pub fn truncate(&mut self, sequence: &Sequence, position: i32) -> Result<()> {
        let (session, number) = (self.raw.as_ptr(), self.number(sequence)?);
        self.check(unsafe { raw::gpt2_sequence_truncate(session, number, position) })
    }

    /// The number of tokens of a sequence, those that were cut off included.
    pub fn position_of(&self, sequence: &Sequence) -> Result<i32> {
        let (session, number, mut position) = (self.raw.as_ptr(), self.number(sequence)?, 0);
        self.check(unsafe { raw::gpt2_sequence_position(session, number, &mut position) })?;
        Ok(position)
    }

    /// The tokens in the context: the whole text, or what [`OnFull::Shift`] left of it.
    pub fn ids(&self, sequence: &Sequence) -> Result<&[i32]> {
        let (session, number) = (self.raw.as_ptr(), self.number(sequence)?);
        let (mut ids, mut n_ids) = (ptr::null(), 0);
        self.check(unsafe { raw::gpt2_sequence_ids(session, number, &mut ids, &mut n_ids) })?;
        Ok(unsafe { slice::from_raw_parts(ids, n_ids) })
    }

    /// The state of a sequence as bytes, for [`restore`](Session::restore) here or in another
    /// process.
    pub fn save(&self, sequence: &Sequence) -> Result<Vec<u8>> {
        let (session, number) = (self.raw.as_ptr(), self.number(sequence)?);
        let (mut state, mut n_bytes) = (Vec::new(), 0);
        let mut status = status::BUFFER;
        while status == status::BUFFER {
            state.resize(n_bytes, 0); // n_bytes is what the call before wants
            let (bytes, capacity) = (state.as_mut_ptr().cast(), state.len());
            status =
                unsafe { raw::gpt2_sequence_save(session, number, bytes, capacity, &mut n_bytes) };
        }
        self.check(status).map(|()| state)
    }

    /// Writes what [`save`](Session::save) returns, in pieces, and does not flush.  An error of the
    /// writer comes back as it is; an [`Error`] of the library is inside the [`io::Error`].  If the
    /// writer panics, the panic goes on here.  In each case the session stays as it was.
    pub fn write<W: io::Write>(&mut self, sequence: &Sequence, writer: W) -> io::Result<()> {
        let (session, number) = (self.raw.as_ptr(), self.number(sequence)?);
        let status = write_to(writer, |write, user| unsafe {
            raw::gpt2_sequence_write(session, number, write, user)
        })?;
        Ok(self.check(status)?)
    }

    /// Makes a sequence what was saved.  It has no logits before its next token has run.
    pub fn restore(&mut self, sequence: &Sequence, state: &[u8]) -> Result<()> {
        let (number, session) = (self.number(sequence)?, self.with_room());
        let (bytes, n_bytes) = (state.as_ptr().cast(), state.len());
        self.check(unsafe { raw::gpt2_sequence_restore(session, number, bytes, n_bytes) })
    }

    /// What ends a call of this session from another thread.
    pub fn canceller(&self) -> Canceller {
        Canceller(Arc::downgrade(&self.raw))
    }

    /// A forward that runs so long from now ends with [`status::DEADLINE`]; None: no such end.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) -> Result<()> {
        let now = unsafe { raw::gpt2_clock_ns() };
        let end = |timeout: Duration| {
            now.saturating_add(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX))
        };
        let deadline = timeout.map_or(0, end);
        self.check(unsafe { raw::gpt2_session_set_deadline(self.raw.as_ptr(), deadline) })
    }

    /// Pages of the KV cache that no sequence uses.
    pub fn n_free_pages(&mut self) -> i32 {
        unsafe { raw::gpt2_session_n_free_pages(self.with_room()) }
    }

    /// The most positions of a sequence.
    pub fn n_ctx(&self) -> i32 {
        unsafe { raw::gpt2_session_n_ctx(self.raw.as_ptr()) }
    }

    /// One word for the kernels in use, such as "avx2".
    pub fn kernels(&self) -> &str {
        let word = unsafe { CStr::from_ptr(raw::gpt2_session_kernels(self.raw.as_ptr())) };
        word.to_str().unwrap_or("")
    }

    /// The model that it runs.
    pub fn model(&self) -> &Model {
        &self.raw.1
    }

    /// The number of tokens of sequence 0.
    pub fn position(&self) -> i32 {
        unsafe { raw::gpt2_session_position(self.raw.as_ptr()) }
    }

    /// Starts a new, empty text, and closes all other sequences.  Each [`Sequence`] from before is
    /// refused from then on, also that of [`first`](Session::first).
    pub fn reset(&mut self) -> Result<()> {
        self.check(unsafe { raw::gpt2_session_reset(self.raw.as_ptr()) })?;
        self.dropped = Default::default();
        Ok(())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Session")
            .field("n_ctx", &self.n_ctx())
            .field("position", &self.position())
            .field("kernels", &self.kernels())
            .finish_non_exhaustive()
    }
}

/// Ends a call of a session from any thread.  It keeps neither the session nor its model.
///
/// ```
/// # let model = gpt2::Model::load("../demo-model")?;
/// # let mut session = model.session(1)?;
/// let canceller = session.canceller();
/// std::thread::spawn(move || canceller.cancel()).join().unwrap();
/// let error = session.forward(&[1, 2, 3]).unwrap_err();
/// assert_eq!(error.status, gpt2::status::CANCELLED);
/// # Ok::<(), gpt2::Error>(())
/// ```
#[derive(Clone)]
pub struct Canceller(Weak<Handle>);

// Cancelling is the one call that any thread may make, as is freeing when nobody else is left.
unsafe impl Send for Canceller {}
unsafe impl Sync for Canceller {}

impl Canceller {
    /// Makes the call that runs tokens, or the next one if none runs, return
    /// [`status::CANCELLED`] soon; a generator finishes with
    /// [`Finish::Cancelled`](crate::Finish::Cancelled).  It ends one call.  Nothing happens if the
    /// session is no more.
    pub fn cancel(&self) {
        if let Some(session) = self.0.upgrade() {
            unsafe { raw::gpt2_session_cancel(session.as_ptr()) }
        }
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Canceller")
    }
}
