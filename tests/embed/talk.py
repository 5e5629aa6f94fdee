"""libolivine from Python, with nothing but ctypes: talk.py LIBRARY MODEL QUESTION"""
import ctypes as c
import sys

lib = c.CDLL(sys.argv[1])
lib.olv_last_error.restype = c.c_char_p


def structure(*fields):
    made = type("Struct", (c.Structure,), {"_fields_": [("size", c.c_uint32), *fields]})
    return made(c.sizeof(made))


def check(result):
    if result < 0:
        sys.exit(lib.olv_last_error().decode())
    return result


device, model, session = c.c_void_p(), c.c_void_p(), c.c_void_p()
options = structure(("device", c.c_int32), ("memory_budget", c.c_uint64), ("work", c.c_uint32),
                    ("slice_us", c.c_uint32))
options.device, options.work = -1, 1
check(lib.olv_device_create(c.byref(options), c.byref(device)))
options = structure(("max_sessions", c.c_uint32), ("path", c.c_char_p), ("context", c.c_uint32))
options.path = sys.argv[2].encode()
check(lib.olv_model_load(device, c.byref(options), c.byref(model)))
options = structure(("max_tokens", c.c_uint32), ("system", c.c_char_p), ("temperature", c.c_float))
options.max_tokens = 20
check(lib.olv_session_create(model, c.byref(options), c.byref(session)))
check(lib.olv_ask(session, sys.argv[3].encode()))
event = structure(("kind", c.c_int32), ("result", c.c_int32), ("end", c.c_int32), ("text", c.c_char_p))
while event.kind != 1:
    if check(lib.olv_next_event(session, c.byref(event))) == 0:
        print(event.text.decode(), end="", flush=True)
        if event.kind == 2:
            sys.exit("\nThe model cannot answer.")
print()
lib.olv_device_destroy(device)
