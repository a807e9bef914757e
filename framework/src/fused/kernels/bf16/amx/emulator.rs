//! Tile instructions on a CPU that has none: each is illegal there, so the kernel hands it to a
//! handler of SIGILL, which decodes it and has the [`TileModel`] do it to the memory that its operands
//! name.
//!
//! So tests execute the very instructions of the back-end, and hold their encoding, operands,
//! addresses, strides and tile configuration to Intel's manual (Software Developer's Manual, volume
//! 2, "Intel AMX instruction set"). They do not show that a CPU with tiles does what its manual says,
//! nor that an operating system grants them, nor how fast either is. Whatever the back-end does not
//! use ends the process: other shapes of tiles, other forms of addresses.

use core::arch::x86_64::__cpuid_count;
use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::model::TileModel;

thread_local! {
    /// This thread's tiles, while they are configured. It needs no allocation and no destructor, so
    /// a handler may use it.
    static TILES: RefCell<Option<TileModel>> = const { RefCell::new(None) };
}

/// How many instructions were emulated.
static DONE: AtomicUsize = AtomicUsize::new(0);

/// Whether tile instructions are emulated in this process: where the CPU has none, but what else
/// the back-end needs.
pub(in super::super) fn stands_in() -> bool {
    const AMX_TILE: u32 = 1 << 24;
    static STANDS_IN: OnceLock<bool> = OnceLock::new();
    *STANDS_IN.get_or_init(|| {
        if !is_x86_feature_detected!("avx512f") {
            return false;
        }
        #[allow(unused_unsafe, reason = "newer compilers call this safe")]
        // SAFETY: CPUs with AVX-512F have CPUID with leaf 7.
        let has_tiles = unsafe { __cpuid_count(7, 0) }.edx & AMX_TILE != 0;
        // SAFETY: zeros are a valid action without flags; the handler has the signature that
        // SA_SIGINFO asks for, and passes on what is not its own.
        !has_tiles
            && unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_illegal;
                action.sa_sigaction = handler as usize;
                action.sa_flags = libc::SA_SIGINFO;
                libc::sigaction(libc::SIGILL, &raw const action, null_mut()) == 0
            }
    })
}

/// Does the illegal instruction and goes on after it. The signal comes from that instruction alone,
/// so whatever the handler calls is interrupted nowhere; a panic here ends the process.
extern "C" fn on_illegal(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: with SA_SIGINFO the third argument is the interrupted thread's context.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let mut code = OpcodeTail(registers[libc::REG_RIP as usize] as *const u8);
    // VEX of three bytes, opcodes 0F 38.
    let [escape, first] = code.take();
    if escape != 0xc4 || first & 0x1f != 2 {
        // SAFETY: the default action; the instruction is met again and ends the process.
        unsafe { libc::signal(libc::SIGILL, libc::SIG_DFL) };
        return;
    }
    let [second, opcode, operands] = code.take();
    assert_eq!(second & 0x84, 0, "tile instructions are VEX.128 W0");
    let (reg, rm) = (usize::from(operands >> 3 & 7), usize::from(operands & 7));
    let third = usize::from(!second >> 3 & 15);
    let place = (operands >> 6 != 3).then(|| RowsAt::new(&mut code, registers, first, operands));
    TILES.with_borrow_mut(|tiles| match (second & 3, opcode, place) {
        (0, 0x49, Some(place)) if reg == 0 => *tiles = Some(configured(&place)),
        (0, 0x49, None) if operands == 0xc0 => *tiles = None,
        (prefix, opcode, place) => {
            let TileModel(tiles) =
                tiles.as_mut().expect("a tile instruction without configured tiles");
            match (prefix, opcode, place) {
                (3, 0x49, None) if rm == 0 => tiles[reg] = [[0; 16]; 16],
                (3, 0x4b, Some(place)) => {
                    // SAFETY: the instruction reads these 64 bytes; `Registers` answers for it.
                    let row = |at| unsafe { place.row(at).read_unaligned() };
                    tiles[reg] = std::array::from_fn(row);
                }
                (2, 0x4b, Some(place)) => {
                    for (at, row) in tiles[reg].iter().enumerate() {
                        // SAFETY: the instruction writes these 64 bytes.
                        unsafe { place.row(at).write_unaligned(*row) };
                    }
                }
                (2, 0x5c, None) => TileModel::multiply(tiles, [reg, rm, third]),
                _ => panic!("not emulated: {second:02x} {opcode:02x} {operands:02x}"),
            }
        }
    });
    DONE.fetch_add(1, Ordering::Relaxed);
    registers[libc::REG_RIP as usize] = code.0 as i64;
}

/// The rest of an instruction.
struct OpcodeTail(*const u8);

impl OpcodeTail {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        // SAFETY: the CPU has found a VEX instruction here; these are bytes of it, since what was
        // taken before said that there are more.
        let bytes = unsafe { self.0.cast::<[u8; N]>().read() };
        self.0 = self.0.wrapping_add(N);
        bytes
    }
}

/// Where an operand in memory starts, and how many bytes its rows are apart.
struct RowsAt {
    address: usize,
    stride: Option<usize>,
}

impl RowsAt {
    /// Decodes ModRM, SIB and displacement; the prefix holds the upper bits of registers, inverted.
    fn new(
        code: &mut OpcodeTail,
        registers: &[libc::greg_t; 23],
        prefix: u8,
        operands: u8,
    ) -> Self {
        let register = |low: u8, inverted: u8| {
            let high = if prefix & inverted == 0 { 8 } else { 0 };
            registers[NUMBERED[usize::from(low & 7 | high)] as usize] as usize
        };
        let (mut base, mut stride) = (operands & 7, None);
        if base == 4 {
            let [sib] = code.take();
            let none = sib >> 3 & 7 == 4 && prefix & 0x40 != 0;
            stride = Some(if none { 0 } else { register(sib >> 3, 0x40) << (sib >> 6) });
            base = sib & 7;
        }
        let displacement = match operands >> 6 {
            0 => {
                assert_ne!(base, 5, "not emulated: an address without a register");
                0
            }
            1 => isize::from(code.take::<1>()[0].cast_signed()),
            _ => i32::from_le_bytes(code.take()) as isize,
        };
        Self { address: register(base, 0x20).wrapping_add_signed(displacement), stride }
    }

    /// Row `at` of a tile; loads and stores want an operand with an index.
    fn row(&self, at: usize) -> *mut [u32; 16] {
        let stride = self.stride.expect("rows of a tile are told apart by an index register");
        self.address.wrapping_add(at.wrapping_mul(stride)) as *mut _
    }
}

/// Which of the context's registers an instruction means by 0, 1, …
const NUMBERED: [c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// The tiles that `ldtilecfg` makes: all zero. Byte 0 is the palette, 1 the start row, 16 to 31 the
/// bytes of the rows of tiles 0 to 7 in two bytes each, 48 to 55 their numbers of rows; all else is 0.
fn configured(place: &RowsAt) -> TileModel {
    // SAFETY: the instruction reads these 64 bytes.
    let read = unsafe { (place.address as *const [u8; 64]).read_unaligned() };
    let whole = |at: usize| match at {
        0 => 1,
        16..32 if at.is_multiple_of(2) => 64,
        48..56 => 16,
        _ => 0,
    };
    assert_eq!(read, std::array::from_fn(whole), "not emulated: tiles that are not whole");
    TileModel([[[0; 16]; 16]; 8])
}

/// What a process asks of the tiles before it uses them would be answered.
#[test]
fn the_instructions_compute_what_plain_arithmetic_does() {
    if !stands_in() {
        return super::super::tests::skipped("this CPU has tiles, or lacks AVX-512");
    }
    let before = DONE.load(Ordering::Relaxed);
    assert!(super::instructions::computes_as_baseline());
    assert!(DONE.load(Ordering::Relaxed) > before, "no instruction was emulated");
    assert!(TILES.with_borrow(Option::is_none), "the tiles were not released");
}
