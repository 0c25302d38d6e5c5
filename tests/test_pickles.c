/*
 * test_pickles.c: the 34 tests of bypasses and the 12 of crashes that fickling has (at its commit
 * 854c99a), each as a small pickle of our own in both forms of torch.save().
 *
 * The names are fickling's, without test_.  fickling says whether a pickle may be harmful; here every
 * one is refused that is no state_dict, those too that fickling lets pass.
 * interpreter_limits_validation has no pickle: it is about fickling's own arguments.
 *
 * WRAP := mmap mmap64 munmap
 */
#include "bounds.h"
#include "pytorch_file.h"

#define BAD GPT2_ERR_FORMAT
#define NOT GPT2_ERR_UNSUPPORTED

#define BYTES(literal) literal, sizeof(literal) - 1

static char line[512];
static struct bytes pickle, file;

/* Loads the pickle in both forms. */
static void check(const char *name, int32_t status, const char *says)
{
    for (int stream = 0; stream < 2; stream++) {
        gpt2_source source = {"pytorch_model.bin", file.at, 0, NULL, NULL};
        const struct gpt2i_files files = {.list = &source, .n_list = 1};
        struct gpt2i_error error = {line, sizeof line};
        struct gpt2i_tensors tensors;
        int32_t found;

        pytorch_wrap(&file, &pickle, NULL, 0, stream == 1);
        source.n_bytes = file.n;
        line[0] = '\0';
        found = BOUNDED(gpt2i_pytorch_open(&tensors, &files, source.name, &error));
        if (found != status || strstr(line, says) == NULL)
            fail_msg("%s: status %d, \"%s\", wanted %d, \"%s\"", name, (int)found, line,
                     (int)status, says);
        gpt2i_tensors_close(&tensors);
    }
}

struct row {
    const char *name;
    const char *bytes;
    size_t n;
    int32_t status;
    const char *says;
};

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        pickle.n = 0;
        bytes_add(&pickle, rows[i].bytes, rows[i].n);
        check(rows[i].name, rows[i].status, rows[i].says);
    }
}

static const struct row bypasses[] = {
    {"missing_pty_unsafe_imports_ghsa",
     BYTES("\200\004\225\031\000\000\000\000\000\000\000\214\003pty\224\214\005spawn\224\223\224"
           "\214\002id\224\205\224R."),
     NOT, "names pty.spawn, "},
    {"missing_pty_unsafe_imports_pr", BYTES("(cpty\nspawn\nS'id'\no."), NOT, "names pty.spawn, "},
    {"missing_marshal_and_types",
     BYTES("\200\004\214\007marshal\214\005loads\223\224h\000C\004code\205R\224\214\005types\214"
           "\014FunctionType\223h\001}\206R)R."),
     NOT, "names marshal.loads, "},
    {"missing_marshal_and_types, types first",
     BYTES("\200\004\214\005types\214\014FunctionType\223."), NOT, "names types.FunctionType, "},
    {"missing_runpy",
     BYTES("\200\005\225 "
           "\000\000\000\000\000\000\000\214\005runpy\214\010run_path\223\214\011/tmp/x.py\205R."),
     NOT, "names runpy.run_path, "},
    {"missing_cprofile",
     BYTES("\200\005\225\035\000\000\000\000\000\000\000\214\010cProfile\214\003run\223\214\010prin"
           "t(1)\205R."),
     NOT, "names cProfile.run, "},
    {"missing_ctypes",
     BYTES("\200\005\214\010builtins\214\007getattr\223\214\006ctypes\214\004CDLL\223\214\004libc"
           "\205R\214\006system\206RC\002id\205R."),
     NOT, "names builtins.getattr, "},
    {"missing_ctypes, alone", BYTES("\200\005\214\006ctypes\214\004CDLL\223\214\004libc\205R."),
     NOT, "names ctypes.CDLL, "},
    {"missing_pydoc",
     BYTES("\200\005\214\005pydoc\214\006locate\223\214\011os.system\205R\214\002id\205R."), NOT,
     "names pydoc.locate, "},
    {"missing_importlib",
     BYTES("\200\005\214\010builtins\214\007getattr\223\214\011importlib\214\015import_"
           "module\223\214\002os\205R\214\006system\206R\214\002id\205R."),
     NOT, "names builtins.getattr, "},
    {"missing_importlib, alone",
     BYTES("\200\005\214\011importlib\214\015import_module\223\214\002os\205R."), NOT,
     "names importlib.import_module, "},
    {"missing_code",
     BYTES("\200\005\214\010builtins\214\007getattr\223\214\004code\214\026InteractiveInterpreter"
           "\223)R\214\011runsource\206R."),
     NOT, "names builtins.getattr, "},
    {"missing_code, alone", BYTES("\200\005\214\004code\214\026InteractiveInterpreter\223)R."), NOT,
     "names code.InteractiveInterpreter, "},
    {"missing_multiprocessing",
     BYTES("\200\005\225A\000\000\000\000\000\000\000\214\024multiprocessing."
           "util\224\214\016spawnv_passfds\224\223\224C\007/bin/sh]\224(h\003C\002-ce)\207R."),
     NOT, "names multiprocessing.util.spawnv_passfds, "},
    {"builtins_import_bypass",
     BYTES("cbuiltins\n__import__\nS'os'\n\205Rp0\n0cbuiltins\ngetattr\ng0\nS'system'\n\206R."),
     NOT, "names builtins.__import__, "},
    {"safe_builtins_not_flagged", BYTES("cbuiltins\nlen\n]\205R."), NOT, "names builtins.len, "},
    {"safe_builtin_dict_not_flagged", BYTES("cbuiltins\ndict\n)R."), NOT, "names builtins.dict, "},
    {"unsafe_builtins_still_flagged", BYTES("cbuiltins\ngetattr\nS'os'\nS'system'\n\206R."), NOT,
     "names builtins.getattr, "},
    {"unsafe_builtin_eval_still_flagged", BYTES("cbuiltins\neval\nS'1'\n\205R."), NOT,
     "names builtins.eval, "},
    {"operator_methodcaller",
     BYTES("c_operator\nmethodcaller\n(Vsystem\nVid\ntR(cbuiltins\n__import__\n(Vos\ntRtR."), NOT,
     "names _operator.methodcaller, "},
    {"distutils_write_file",
     BYTES(
         "\200\004\214\023distutils.file_util\214\nwrite_file\223\214\006/tmp/x(\214\001xl\206R."),
     NOT, "names distutils.file_util.write_file, "},
    {"io_fileio", BYTES("\200\004\214\003_io\214\006FileIO\223\214\013/etc/passwd\205R."), NOT,
     "names _io.FileIO, "},
    {"numpy_f2py_getlincoef",
     BYTES("\200\004\214\027numpy.f2py.crackfortran\214\ngetlincoef\223\214\020__import__('os')}"
           "\206R."),
     NOT, "names numpy.f2py.crackfortran.getlincoef, "},
    {"network_protocol_ssrf, smtplib",
     BYTES("\200\004csmtplib\nSMTP\n\214\011127.0.0.1M\031\000\206R}b."), NOT,
     "names smtplib.SMTP, "},
    {"network_protocol_ssrf, imaplib",
     BYTES("\200\004cimaplib\nIMAP4\n\214\011127.0.0.1M\217\000\206R}b."), NOT,
     "names imaplib.IMAP4, "},
    {"network_protocol_ssrf, ftplib",
     BYTES("\200\004cftplib\nFTP\n\214\011127.0.0.1M\025\000\206R}b."), NOT, "names ftplib.FTP, "},
    {"network_protocol_ssrf, poplib",
     BYTES("\200\004cpoplib\nPOP3\n\214\011127.0.0.1Mn\000\206R}b."), NOT, "names poplib.POP3, "},
    {"network_protocol_ssrf, telnetlib",
     BYTES("\200\004ctelnetlib\nTelnet\n\214\011127.0.0.1M\027\000\206R}b."), NOT,
     "names telnetlib.Telnet, "},
    {"network_protocol_ssrf, nntplib",
     BYTES("\200\004cnntplib\nNNTP\n\214\011127.0.0.1Mw\000\206R}b."), NOT, "names nntplib.NNTP, "},
    {"asyncio_subprocess",
     BYTES("\200\004\225J\000\000\000\000\000\000\000\214\023asyncio.unix_events\214\037_"
           "UnixSubprocessTransport._start\223(}\214\006whoami\210NNNK\000tR."),
     NOT, "names asyncio.unix_events._UnixSubprocessTransport._start, "},
    {"obj_pop_call_invisibility",
     BYTES("\200\004(\214\007smtplib\214\004SMTP\223\214\011127.0.0.1o0N."), NOT,
     "names smtplib.SMTP, "},
    {"missing_uuid",
     BYTES("\200\004\214\004uuid\214\023_get_command_stdout\223\214\004echo\214\001x\206R."), NOT,
     "names uuid._get_command_stdout, "},
    {"missing_aix_support",
     BYTES("\200\004\214\014_aix_support\214\020_read_cmd_output\223\214\004echo\205R."), NOT,
     "names _aix_support._read_cmd_output, "},
    {"missing_osx_support",
     BYTES("\200\004\214\014_osx_support\214\020_find_build_tool\223\214\011x; echo #\205R."), NOT,
     "names _osx_support._find_build_tool, "},
    {"dotted_attr_via_stdlib_module", BYTES("\200\004\214\007pathlib\214\011os.system\223)R."), NOT,
     "names pathlib.os.system, "},
    {"ml_allowlist_not_shadowed_by_unsafe_imports_ml",
     BYTES("\200\004\214\003ast\214\005parse\223."), NOT, "names ast.parse, "},
    {"private_stdlib_interpreters_blocklisted, _interpreters",
     BYTES("\200\004\214\015_interpreters\214\006create\223)R."), NOT,
     "names _interpreters.create, "},
    {"private_stdlib_interpreters_blocklisted, _xxsubinterpreters",
     BYTES("\200\004\214\022_xxsubinterpreters\214\006create\223)R."), NOT,
     "names _xxsubinterpreters.create, "},
    {"private_stdlib_allowlist, encode", BYTES("\200\004\214\007_codecs\214\006encode\223."), NOT,
     "names _codecs.encode, "},
    {"private_stdlib_allowlist, annotations",
     BYTES("\200\004\214\n__future__\214\013annotations\223."), NOT,
     "names __future__.annotations, "},
    {"private_stdlib_allowlist, _ssl.RAND_bytes",
     BYTES("\200\004\214\n__future__\214\017_ssl.RAND_bytes\223."), NOT,
     "names __future__._ssl.RAND_bytes, "},
    {"frame_boundary_divergence",
     BYTES("\200\005\225\006\000\000\000\000\000\000\000}X,\001\000\000cos\nsystem\nVid\n\205R.}."
           "NNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNN"
           "NNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNN"
           "NNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNN"
           "NNNNNNNNNNNNNNNNNNNNs."),
     BAD, "reaches over the end of its frame"},
    {"frame_boundary_divergence, with bytes",
     BYTES("\200\005\225\002\000\000\000\000\000\000\000B\007\001\000\000\000\000."), NOT,
     "opcode 0x42"},
    {"frame_boundary: the end inside of a frame, and another pickle behind it",
     BYTES("\200\004\225\010\000\000\000\000\000\000\000N.\200\002K\001.\200\002K\002."), BAD,
     "the pickle ends inside of a frame"},
    {"frame_boundary_straddle_variants, BINBYTES",
     BYTES("\200\005\225\005\000\000\000\000\000\000\000B\024\000\000\000AAAAAAAAAAAAAAAAAAAA."),
     NOT, "opcode 0x42"},
    {"frame_boundary_straddle_variants, SHORT_BINUNICODE",
     BYTES("\200\005\225\003\000\000\000\000\000\000\000\214\024AAAAAAAAAAAAAAAAAAAA."), BAD,
     "over the end of its frame"},
    {"frame_boundary_straddle_variants, GLOBAL module",
     BYTES("\200\005\225\004\000\000\000\000\000\000\000cmacos\nsystem\n."), NOT,
     "names macos.system, "},
    {"frame_boundary_straddle_variants, GLOBAL attr",
     BYTES("\200\005\225\007\000\000\000\000\000\000\000cos\nsystem\n."), NOT, "names os.system, "},
    {"frame_boundary_straddle_variants, GLOBAL allowed",
     BYTES("\200\005\225\010\000\000\000\000\000\000\000ccollections\nOrderedDict\n)R."), BAD,
     "over the end of its frame"},
    {"frame_boundary_straddle_variants, UNICODE",
     BYTES("\200\005\225\005\000\000\000\000\000\000\000Vhello\n."), NOT, "opcode 0x56"},
    {"frame_boundary_straddle_variants, BININT",
     BYTES("\200\005\225\002\000\000\000\000\000\000\000J\007\000\000\000."), BAD,
     "over the end of its frame"},
    {"frame_boundary_straddle_variants, frame inside another",
     BYTES("\200\005\225\036\000\000\000\000\000\000\000N\225\002\000\000\000\000\000\000\000N....."
           "..............."),
     BAD, "inside another"},
    {"frame_boundary_straddle_variants, the opcode ends the frame",
     BYTES("\200\005\225\002\000\000\000\000\000\000\000}J\000\000\000\000."), BAD,
     "over the end of its frame"},
    {"well_formed_frames_are_not_flagged, a list",
     BYTES("\200\005\225\011\000\000\000\000\000\000\000]\224(K\001K\002e."), NOT, "holds a list"},
    {"well_formed_frames_are_not_flagged, several",
     BYTES(
         "\200\005\225\002\000\000\000\000\000\000\000}\224\225\001\000\000\000\000\000\000\000."),
     GPT2_OK, ""},
    {"well_formed_frames_are_not_flagged, the end outside",
     BYTES("\200\005\225\001\000\000\000\000\000\000\000}\224."), GPT2_OK, ""},
    {"well_formed_frames_are_not_flagged, FRAME ends a frame",
     BYTES("\200\005\225\n\000\000\000\000\000\000\000}\225\001\000\000\000\000\000\000\000."),
     GPT2_OK, ""},
};

static void test_fickling_bypasses(void **state)
{
    (void)state;
    check_rows(bypasses, COUNT(bypasses));
}

/* A function of a module, named by GLOBAL and by STACK_GLOBAL, is called. */
static void check_name(const char *module, const char *name)
{
    char says[128];

    (void)snprintf(says, sizeof says, "the pickle names %s.%s, which is no part of a", module,
                   name);
    pickle.n = 0;
    ADD(&pickle, "\x80\2c");
    bytes_add(&pickle, module, strlen(module));
    ADD(&pickle, "\n");
    bytes_add(&pickle, name, strlen(name));
    ADD(&pickle, "\n)R.");
    check(says, NOT, says);
    pickle.n = 0;
    ADD(&pickle, "\x80\4");
    bytes_add_text(&pickle, module);
    bytes_add_text(&pickle, name);
    ADD(&pickle, "\x93)R.");
    check(says, NOT, says);
}

/* all_unsafe_modules_detected, all_unsafe_imports_detected: what fickling has on its lists. */
static void test_fickling_names(void **state)
{
    static const char *const modules[] = {"__builtin__",
                                          "__builtins__",
                                          "builtins",
                                          "os",
                                          "posix",
                                          "nt",
                                          "subprocess",
                                          "sys",
                                          "pty",
                                          "commands",
                                          "multiprocessing",
                                          "_posixsubprocess",
                                          "code",
                                          "codeop",
                                          "runpy",
                                          "marshal",
                                          "types",
                                          "compile",
                                          "exec",
                                          "eval",
                                          "doctest",
                                          "_interpreters",
                                          "_xxsubinterpreters",
                                          "importlib",
                                          "_frozen_importlib",
                                          "_frozen_importlib_external",
                                          "_imp",
                                          "imp",
                                          "pkgutil",
                                          "zipimport",
                                          "gc",
                                          "site",
                                          "unittest",
                                          "inspect",
                                          "test",
                                          "_operator",
                                          "operator",
                                          "functools",
                                          "cProfile",
                                          "profile",
                                          "pdb",
                                          "bdb",
                                          "timeit",
                                          "trace",
                                          "socket",
                                          "ssl",
                                          "httplib",
                                          "http",
                                          "urllib",
                                          "urllib2",
                                          "requests",
                                          "aiohttp",
                                          "asyncio",
                                          "webbrowser",
                                          "smtplib",
                                          "imaplib",
                                          "ftplib",
                                          "poplib",
                                          "telnetlib",
                                          "nntplib",
                                          "ctypes",
                                          "_ctypes",
                                          "pickle",
                                          "_pickle",
                                          "dill",
                                          "cloudpickle",
                                          "joblib",
                                          "shutil",
                                          "tempfile",
                                          "filecmp",
                                          "distutils",
                                          "pydoc",
                                          "pexpect",
                                          "pipes",
                                          "venv",
                                          "ensurepip",
                                          "pip",
                                          "idlelib",
                                          "lib2to3",
                                          "socketserver",
                                          "xmlrpc",
                                          "signal",
                                          "_signal",
                                          "threading",
                                          "_thread",
                                          "atexit",
                                          "sqlite3",
                                          "_sqlite3",
                                          "fileinput",
                                          "glob",
                                          "platform",
                                          "linecache",
                                          "difflib",
                                          "compileall",
                                          "py_compile",
                                          "mmap",
                                          "select",
                                          "selectors",
                                          "logging",
                                          "syslog",
                                          "tarfile",
                                          "zipfile",
                                          "shelve",
                                          "uuid",
                                          "_osx_support",
                                          "_aix_support",
                                          "torch.hub",
                                          "torch._dynamo",
                                          "torch._inductor",
                                          "torch.jit",
                                          "torch.compile",
                                          "numpy.f2py",
                                          "numpy.distutils"};
    static const char *const imports[][2] = {
        {"torch", "load"},
        {"torch", "compile"},
        {"torch.storage", "_load_from_bytes"},
        {"torch.utils._config_module", "ConfigModule"},
        {"torch.distributed.elastic.rendezvous.api", "basichandlers"},
        {"numpy.testing._private.utils", "runstring"},
        {"_io", "FileIO"},
        {"_io", "open"},
        {"io", "FileIO"},
        {"io", "open"}};

    (void)state;
    for (size_t i = 0; i < COUNT(modules); i++) {
        check_name(modules[i], "eval");
        check_name(modules[i], "dangerous");
    }
    for (size_t i = 0; i < COUNT(imports); i++)
        check_name(imports[i][0], imports[i][1]);
}

static const struct row crashes[] = {
    {"stable_diffusion",
     BYTES("\200\002}(X\017\000\000\000string_to_token}X\017\000\000\000string_to_paramctorch.nn."
           "modules.container\nParameterDict\n)\201}bu."),
     NOT, "names torch.nn.modules.container.ParameterDict, "},
    {"pop_mark", BYTES("\200\004(N1}."), NOT, "opcode 0x31"},
    {"pop_mark, its names", BYTES("\200\004(\214\005numpy\214\006poly1d\223\224."), NOT,
     "names numpy.poly1d, "},
    {"obj", BYTES("(cos\nsystem\nS\"whoami\"\no."), NOT, "names os.system, "},
    {"stack_global_dynamic_import", BYTES("\200\004coperator\nitemgetter\nq\000."), NOT,
     "names operator.itemgetter, "},
    {"stack_global_dynamic_import, made of texts",
     BYTES("\200\004\214\002os\224\214\006system\224}h\000h\001\223."), NOT, "names os.system, "},
    {"missing_mark_before_tuple", BYTES("\200\004t."), BAD, "a mark is missing"},
    {"cyclic_pickle, a list", BYTES("\200\002]\224h\000a."), NOT, "holds a list"},
    {"cyclic_pickle, a dict", BYTES("\200\002}\224\214\004selfh\000s."), NOT, "\"self\" is a dict"},
    {"cyclic_pickle, two dicts", BYTES("\200\002}\224}\224\214\001ah\000s\214\001bh\001s."), BAD,
     "other than one value"},
    {"impossible_cyclic_pickle, a dict", BYTES("\200\002}\224h\000\214\005values."), NOT,
     "a key of the dict"},
    {"impossible_cyclic_pickle, a set", BYTES("\200\004\217\224(h\000\220."), NOT, "opcode 0x8f"},
    {"get_ratio_enforcement",
     BYTES("\200\004]"
           "\224h\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000"
           "ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah"
           "\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah"
           "\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah\000ah"
           "\000ah\000ah\000ah\000a."),
     NOT, "holds a list"},
    {"stack_depth_limit_enforcement",
     BYTES("\200\004]22222222222222222222222222222222222222222222222222."), NOT, "opcode 0x32"},
    {"stack_depth_limit_enforcement, without DUP",
     BYTES("\200\004]"
           "\224h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h"
           "\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h"
           "\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000h\000."),
     BAD, "other than one value"},
    {"memo_size_limit_enforcement",
     BYTES("\200\004]"
           "\224\224\224\224\224\224\224\224\224\224\224\224\224\224\224\224\224\224\224\224."),
     NOT, "holds a list"},
};

static void test_fickling_crashes(void **state)
{
    (void)state;
    check_rows(crashes, COUNT(crashes));
}

/* opcode_limit_enforcement, and what doubles at each step: 200 KB of it. */
static void test_fickling_limits(void **state)
{
    static const struct row repeated[] = {
        {"a list that takes itself", BYTES("h\0a"), NOT, "holds a list"},
        {"a tuple in a tuple", BYTES("\x85"), NOT, "holds a tuple"},
        {"dicts in the memo", BYTES("}\2240"), NOT, "opcode 0x30"},
        {"marks", BYTES("("), BAD, "other than one value"},
        {"frames of nothing", BYTES("\x95\0\0\0\0\0\0\0\0"), NOT, "holds a list"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(repeated); i++) {
        pickle.n = 0;
        ADD(&pickle, "\x80\4]\x94");
        while (pickle.n < 200000)
            bytes_add(&pickle, repeated[i].bytes, repeated[i].n);
        ADD(&pickle, ".");
        check(repeated[i].name, repeated[i].status, repeated[i].says);
    }
    pickle.n = 0; /* 2^n texts if each is written out: the n-th tuple has the one before twice */
    ADD(&pickle, "\x80\4]\x94");
    for (uint32_t n = 0; pickle.n < 200000; n++) {
        ADD(&pickle, "j");
        bytes_add_number(&pickle, n, 4);
        ADD(&pickle, "j");
        bytes_add_number(&pickle, n, 4);
        ADD(&pickle, "\x86\x94");
    }
    ADD(&pickle, ".");
    check("tuples that double", BAD, "other than one value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fickling_bypasses),
        cmocka_unit_test(test_fickling_names),
        cmocka_unit_test(test_fickling_crashes),
        cmocka_unit_test(test_fickling_limits),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests_name("pickles", tests, NULL, NULL);
}
