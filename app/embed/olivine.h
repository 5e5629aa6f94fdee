/* olivine.h: Gemma 3 and Gemma 2 inside a program that has other things to do. C99.
 *
 *     olv_device* device;   olv_model* model;   olv_session* guard;
 *     olv_device_options options = OLV_DEVICE_OPTIONS;
 *     olv_device_create(&options, &device);
 *     olv_model_load(device, &(olv_model_options)OLV_MODEL_OPTIONS, &model);
 *     olv_session_create(model, &(olv_session_options)OLV_SESSION_OPTIONS, &guard);
 *     olv_ask(guard, "Who goes there?");
 *     each frame:  olv_tick(device, 2000);
 *                  while (olv_next_event(guard, &event) == OLV_OK) ...
 *
 * Work. Nothing here waits for the GPU but olv_tick() and the calls that say so. What takes long
 * (loading, answering) is put into the device's queue and runs, one piece after another, in one of
 * two ways:
 *   OLV_TICK    only while the program is in olv_tick(), in slices between which it returns. The GPU
 *               has nothing of it to do at other times. (The library keeps a thread that runs only
 *               then; it is how work can be left in its middle.)
 *   OLV_WORKER  on a thread of the library, beside the program. olv_tick() then does nothing but
 *               call the log and tell events.
 * Besides, pipelines are compiled on threads of the library; ticks do not wait for them.
 *
 * Errors. Functions return OLV_OK or a negative code, and never abort nor let an exception out;
 * olv_last_error() has the sentence for the code that the calling thread got last. Null handles and
 * wrong sizes of structs are OLV_BAD_INPUT. Work that fails says so by an event.
 *
 * Threads. Calls on one device and what is made from it come from one thread at a time. Handles of
 * different devices have nothing in common. There is no global state.
 *
 * Structs begin with their size, which the initialisers fill in, so that a library that is newer
 * than the program knows which fields there are. Fields are only ever added, at the end. Zero is
 * the default of every other field unless it says otherwise. Texts are UTF-8, and copied.
 */
#ifndef OLIVINE_H
#define OLIVINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OLV_API __attribute__((visibility("default")))

/* Of this header: major << 16 | minor << 8 | patch. Libraries of one major version fit programs
 * that were compiled with an older header of it. */
#define OLV_VERSION 0x000100u
OLV_API uint32_t olv_version(void); /* of the library */

typedef enum olv_result {
    OLV_OK = 0,
    OLV_NOTHING = 1,        /* there is no event now */
    OLV_BAD_INPUT = -1,     /* the call: a null handle, a size, a value, an order of calls */
    OLV_BAD_FILE = -2,      /* a model or saved session is damaged or does not fit */
    OLV_UNSUPPORTED = -3,   /* well-formed, but we lack it */
    OLV_NO_DEVICE = -4,     /* no Vulkan loader, driver or suitable device */
    OLV_OUT_OF_MEMORY = -5, /* of the device, the host or the budget */
    OLV_DEVICE_LOST = -6,   /* the driver gave the device up: the program's, or one of ours more than
                               twice in ten minutes */
    OLV_CANCELLED = -7,     /* as was asked */
    OLV_INTERNAL = -8       /* a driver answered what it must not */
} olv_result;

/* The sentence for the last error on this thread; "" before the first. Until its next error. */
OLV_API const char* olv_last_error(void);

typedef struct olv_device olv_device;
typedef struct olv_model olv_model;
typedef struct olv_session olv_session;

/* ---- devices -------------------------------------------------------------------------------- */

typedef enum olv_work { OLV_TICK = 0, OLV_WORKER = 1 } olv_work;

/* A line about what goes on: a driver that is not trusted, a device that was lost. Called by
 * olv_tick(), with OLV_WORKER too, and by nobody else. It may call anything but olv_tick() and the
 * destruction of the device. */
typedef void (*olv_log)(void* user, const char* line);

/* Of a program that has a Vulkan device already: ours are VkDevice and all, which outlive the
 * olv_device. Its instance and device are of API version 1.3, and have the features timelineSemaphore
 * and synchronization2; OLV_UNSUPPORTED names what is missing. Others are used where they are there:
 * storageBuffer16BitAccess, shaderFloat16, shaderIntegerDotProduct, subgroupSizeControl with
 * computeFullSubgroups, bufferDeviceAddress, VK_EXT_conditional_rendering, VK_KHR_cooperative_matrix
 * with vulkanMemoryModel and vulkanMemoryModelDeviceScope.
 *
 * Work goes to the queue in submissions of about slice_us, from the thread that is in olv_tick()
 * or from the library's (OLV_WORKER). Who submits to it from another thread gives lock and unlock,
 * which are held around each use of the queue, and never holds its lock while it calls the library.
 * A lost device is the program's to make anew, and everything on it. */
typedef struct olv_memory_request {
    uint32_t size;
    uint32_t memory_type; /* index of VkPhysicalDeviceMemoryProperties::memoryTypes */
    uint64_t bytes, alignment;
    uint32_t map;         /* 1: mapped as long as it lives (the type is host-visible and coherent) */
    uint32_t address;     /* 1: allocated with VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT */
} olv_memory_request;

typedef struct olv_memory {
    uint32_t size;
    uint64_t memory; /* VkDeviceMemory */
    uint64_t offset; /* in it, a multiple of the alignment */
    void* mapped;    /* where the offset is mapped; null unless asked for */
    void* handle;    /* the program's own, for free */
} olv_memory;

typedef struct olv_vulkan {
    uint32_t size;
    uint32_t queue_family;
    void* instance;        /* VkInstance */
    void* physical_device; /* VkPhysicalDevice */
    void* device;          /* VkDevice */
    void* queue;           /* VkQueue, of a family with compute */
    const void* created_with; /* VkDeviceCreateInfo that the device was made with, its chain of features
                                 included; until olv_device_create() returns */
    void (*lock)(void* user);   /* null, like unlock: nobody else submits meanwhile */
    void (*unlock)(void* user);
    /* The program's allocator of device memory, 0 = here it is; null, like free: the library
     * allocates. One call at a time, from the thread in the library or the library's. */
    int32_t (*allocate)(void* user, const olv_memory_request* request, olv_memory* memory);
    void (*free)(void* user, const olv_memory* memory);
    void* user;
} olv_vulkan;
#define OLV_VULKAN {sizeof(olv_vulkan), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

typedef struct olv_device_options {
    uint32_t size;
    int32_t device;         /* number in olv_device_list(); -1 = the best one */
    uint64_t memory_budget; /* bytes of device memory, for all models; 0 = what the device has */
    uint32_t work;          /* olv_work */
    uint32_t slice_us;      /* what a slice of work is cut to where it can be; 0 = 1000 */
    const char* cache_folder; /* of compiled pipelines; null = none, and every start compiles */
    olv_log log;              /* null = none */
    void* log_user;
    const olv_vulkan* vulkan; /* the program's device, in place of one of our own; null = none */
} olv_device_options;
#define OLV_DEVICE_OPTIONS {sizeof(olv_device_options), -1, 0, OLV_TICK, 0, 0, 0, 0, 0}

typedef struct olv_device_info {
    uint32_t size;
    uint32_t usable;       /* 1 or 0 */
    uint64_t memory_bytes; /* of its largest heap */
    char name[128];
    char driver[128];
    char why_unusable[256];
} olv_device_info;

/* Fills up to *count infos, whose sizes are set, and sets *count to how many devices there are.
 * infos may be null. */
OLV_API olv_result olv_device_list(olv_device_info* infos, uint32_t* count);

OLV_API olv_result olv_device_create(const olv_device_options* options, olv_device** device);
/* Stops what runs, and destroys its models and sessions with it. Null is fine. */
OLV_API void olv_device_destroy(olv_device* device);

/* OLV_TICK: goes on with the work for at most so many microseconds and one slice, and returns early
 * when there is none left, or while it waits for a pipeline. Then it gives events to their callbacks. */
OLV_API olv_result olv_tick(olv_device* device, uint32_t budget_us);
/* 1 while work is queued or under way. */
OLV_API uint32_t olv_busy(const olv_device* device);

/* From now on all of the device's memory is within so many bytes (0 = what the device has): models
 * make room, or come back, between two tokens or when they are idle. Weights are streamed; then the
 * keys and values of sessions that do not answer wait with the host. Answers go on with the same
 * words. Where that does not suffice, the log says so and nothing changes. (Of several models each
 * makes room for what the others had when it was loaded.) When the driver has no memory in the middle
 * of that, the model ends: its sessions say OLV_OUT_OF_MEMORY until it is loaded anew. */
OLV_API olv_result olv_set_memory_budget(olv_device* device, uint64_t bytes);

typedef struct olv_stats {
    uint32_t size;
    uint32_t ticks;        /* so far */
    uint64_t bytes_now;    /* device memory */
    uint64_t bytes_peak;
    uint64_t budget;
    uint64_t slices;       /* of work, so far */
    double slice_seconds;  /* the longest of them since the last olv_device_stats() */
    uint64_t bytes_written; /* copied by the host to device memory so far, and back: weights, pixels, */
    uint64_t bytes_read;    /* encoded pictures, saved sessions */
} olv_stats;
#define OLV_STATS {sizeof(olv_stats), 0, 0, 0, 0, 0, 0, 0, 0}
OLV_API olv_result olv_device_stats(olv_device* device, olv_stats* stats);

/* ---- models --------------------------------------------------------------------------------- */

/* A file that is not on disk: in the program's memory (data), or read by the program (read), such as
 * from a pak file. Both, and user, stay as they are until the model is destroyed. */
typedef struct olv_file {
    uint32_t size;
    const char* name;  /* such as "config.json" or "gemma/model.gguf" */
    uint64_t bytes;
    const void* data;
    /* Puts so many bytes from offset, all within the file, to `to`; returns 0, or anything else for a
     * failure. Called in olv_model_load(), then by a thread of the library, for the files of a device's
     * models one call at a time, also when weights or the picture encoder are read later. A slow read
     * makes a slow slice. */
    int32_t (*read)(void* user, uint64_t offset, void* to, uint64_t bytes);
    void* user;
} olv_file;
#define OLV_FILE {sizeof(olv_file), 0, 0, 0, 0, 0}

typedef struct olv_model_options {
    uint32_t size;
    uint32_t max_sessions; /* 1 to 16; 0 = 4. Each has keys and values of its own */
    const char* path;      /* a folder, or a .gguf file */
    uint32_t context;      /* positions of a session; 0 = min(the model's, 8192) */
    /* Where there are files, path is one of theirs: a .gguf, or a folder before the names of others.
     * Null: the only file, or the folder of names without one. Nothing is read from disk then. */
    const olv_file* files;
    uint32_t file_count;
} olv_model_options;
#define OLV_MODEL_OPTIONS {sizeof(olv_model_options), 0, 0, 0, 0, 0}

typedef struct olv_model_info {
    uint32_t size;
    uint32_t usable;         /* 1 or 0 */
    uint64_t weight_bytes;   /* in its files, but for the picture encoder's */
    uint64_t device_bytes;   /* for one session of the default context */
    uint32_t context;        /* positions that it was made for, at most */
    uint32_t takes_pictures; /* 1 or 0 */
    char name[256];
    char path[1024];         /* for olv_model_options */
    char why_unusable[512];
} olv_model_info;

/* The models in a folder on disk, by name: .gguf files but those of picture encoders, and folders with a
 * config.json. Reads what the files say of themselves, not vocabularies and weights. Fills up to *count
 * infos, whose sizes are set, and sets *count to how many there are. infos may be null. */
OLV_API olv_result olv_model_list(const char* folder, olv_model_info* infos, uint32_t* count);

/* Opens the files, whose damage shows at once, and queues the loading. With a .gguf, the first file
 * beside it that is called mmproj and fits is its picture encoder. */
OLV_API olv_result olv_model_load(olv_device* device, const olv_model_options* options,
                                  olv_model** model);
/* Ends the loading, if it goes on, within a slice, or as soon as a pipeline is there that it waits
 * for: olv_model_state() is then OLV_FAILED, with OLV_CANCELLED, and so is what was queued. A model
 * that is loaded stays so. */
OLV_API olv_result olv_model_cancel(olv_model* model);
/* Stops what runs with it, and destroys its sessions. Null is fine. */
OLV_API void olv_model_destroy(olv_model* model);

typedef enum olv_state {
    OLV_LOADING = 0,
    OLV_READY = 1,
    OLV_FAILED = 2 /* olv_model_state() returns why */
} olv_state;
/* How far loading is; OLV_OK unless it failed. progress: 0 to 1; may be null, as may state. */
OLV_API olv_result olv_model_state(const olv_model* model, olv_state* state, float* progress);

/* Tokens of a text, as part of a question. Needs no device. */
OLV_API olv_result olv_count_tokens(const olv_model* model, const char* text, uint32_t* count);

/* How many tokens there are, and what one of them prints: *size bytes, not always whole characters,
 * and none of a control token. *text is valid as long as the model, and no zero ends it. For masks
 * (olv_ask_options.allowed). Need no device. */
OLV_API olv_result olv_vocabulary_size(const olv_model* model, uint32_t* count);
OLV_API olv_result olv_token_text(const olv_model* model, uint32_t token, const char** text,
                                  uint32_t* size);

/* ---- sessions ------------------------------------------------------------------------------- */

struct olv_event;
/* Called by olv_tick(), with OLV_WORKER too, for each event of the session. It may call anything,
 * also what cancels or destroys the session, but olv_tick() and the destruction of the device. */
typedef void (*olv_on_event)(void* user, olv_session* session, const struct olv_event* event);

typedef struct olv_session_options {
    uint32_t size;
    uint32_t max_tokens;   /* of an answer; 0 = until the model ends it or the context is full */
    const char* system;    /* what the model is told at first; null = nothing. Sessions that begin
                              with the same text have it on the device once */
    float temperature;     /* 0 = the likeliest token each time */
    uint32_t top_k;        /* 0 = all */
    float top_p;           /* 1 = all */
    float min_p;           /* 0 = all */
    float repeat_penalty;  /* 1 = none */
    uint32_t forget;       /* 1: a full context drops the oldest turns; 0: it ends the answer */
    uint64_t seed;         /* the same seed, questions and options give the same answers */
    const char* const* stop; /* texts that end an answer */
    uint32_t stop_count;
    uint32_t tokens;         /* 1: OLV_EVENT_TOKEN for each that is drawn */
    olv_on_event on_event;   /* null: events wait for olv_next_event() */
    void* event_user;
} olv_session_options;
#define OLV_SESSION_OPTIONS \
    {sizeof(olv_session_options), 0, 0, 1.0f, 64, 0.95f, 0, 1, 0, 0, 0, 0, 0, 0, 0}

OLV_API olv_result olv_session_create(olv_model* model, const olv_session_options* options,
                                      olv_session** session);
/* Stops what it says. Null is fine. */
OLV_API void olv_session_destroy(olv_session* session);

/* Pictures for the next question, whose text stands behind them in this order; they are encoded in
 * slices before it runs. OLV_UNSUPPORTED when the model reads text only.
 * Of pixels, R, G, B, alpha, in rows that are `stride` bytes apart (0 = width * 4); copied. */
OLV_API olv_result olv_push_pixels(olv_session* session, const void* rgba, uint32_t width,
                                   uint32_t height, uint64_t stride);
/* Of the bytes of a PNG or JPEG file. */
OLV_API olv_result olv_push_picture(olv_session* session, const void* file, uint64_t bytes);

/* An image on the program's device (olv_device_options.vulkan). */
typedef struct olv_vulkan_image {
    uint32_t size;
    uint32_t format; /* VK_FORMAT_R8G8B8A8_UNORM, _SRGB, VK_FORMAT_B8G8R8A8_UNORM or _SRGB */
    uint32_t layout; /* VkImageLayout that the queue finds it in, and leaves it in */
    uint32_t width, height;
    uint64_t image;  /* VkImage, made with VK_IMAGE_USAGE_TRANSFER_SRC_BIT, of the queue's family */
} olv_vulkan_image;
#define OLV_VULKAN_IMAGE {sizeof(olv_vulkan_image), 0, 0, 0, 0, 0}
/* Copies the image on the device, without the host, as it is behind all that was submitted to the
 * queue before; the program may draw into it again with what it submits next. Alpha is ignored. With
 * OLV_WORKER it waits for the slice that runs. */
OLV_API olv_result olv_push_vulkan_image(olv_session* session, const olv_vulkan_image* image);

/* Queues a question. OLV_BAD_INPUT while another one is under way. */
OLV_API olv_result olv_ask(olv_session* session, const char* text);

/* What one answer is to be. An answer of choices or a schema has that form to its end, unless
 * max_tokens, the context, a stop text or olv_cancel() cuts it: OLV_EVENT_DONE says so. */
typedef struct olv_ask_options {
    uint32_t size;
    uint32_t max_tokens;        /* in place of the session's; 0 = that one */
    const char* const* choices; /* the answer is one of these texts; null = no list */
    const char* json_schema;    /* the answer is JSON that this describes; null = none. Not both */
    const uint32_t* allowed; /* bits: token t may be said if allowed[t / 32] >> (t % 32) & 1; null =
                                all. A token that ends the answer may always be said */
    uint32_t choice_count;
    uint32_t allowed_words; /* (olv_vocabulary_size() + 31) / 32 */
} olv_ask_options;
#define OLV_ASK_OPTIONS \
    { sizeof(olv_ask_options), 0, 0, 0, 0, 0, 0 }

/* The same with options. OLV_BAD_INPUT or OLV_UNSUPPORTED for a schema that cannot be used, with
 * the keyword and its place; docs/embedding.md lists those that can. */
OLV_API olv_result olv_ask_with(olv_session* session, const char* text,
                                const olv_ask_options* options);
/* Ends the answer within a slice; what was said so far stays part of the conversation. */
OLV_API olv_result olv_cancel(olv_session* session);
/* A fresh conversation. OLV_BAD_INPUT while a question is under way. */
OLV_API olv_result olv_session_clear(olv_session* session);

/* The conversation in a file, keys and values included, and back. Queued like a question; an
 * OLV_EVENT_DONE or OLV_EVENT_ERROR follows. */
OLV_API olv_result olv_session_save(olv_session* session, const char* path);
OLV_API olv_result olv_session_load(olv_session* session, const char* path);

/* The same in memory, queued likewise; the bytes are those of the file. After the OLV_EVENT_DONE they are
 * the session's own until its next olv_session_save_bytes(), or until it is destroyed; before, and after
 * an error, there are none: OLV_BAD_INPUT. What is loaded is copied. */
OLV_API olv_result olv_session_save_bytes(olv_session* session);
OLV_API olv_result olv_session_bytes(olv_session* session, const void** data, uint64_t* bytes);
OLV_API olv_result olv_session_load_bytes(olv_session* session, const void* data, uint64_t bytes);

typedef enum olv_event_kind {
    OLV_EVENT_TEXT = 0,  /* text: some more of the answer, whole characters */
    OLV_EVENT_DONE = 1,  /* the answer, or what else was queued, has ended: end */
    OLV_EVENT_ERROR = 2, /* it failed: result, text; the conversation is as before, without pictures */
    OLV_EVENT_TOKEN = 3  /* token: an id was drawn; its text may come later, in whole characters */
} olv_event_kind;

typedef enum olv_end {
    OLV_END_MODEL = 0,        /* the model, or a stop text */
    OLV_END_MAX_TOKENS = 1,
    OLV_END_CONTEXT_FULL = 2,
    OLV_END_CANCELLED = 3
} olv_end;

typedef struct olv_event {
    uint32_t size;
    int32_t kind;     /* olv_event_kind */
    int32_t result;   /* olv_result, of an error */
    int32_t end;      /* olv_end, of an answer that is done */
    const char* text; /* until the session's next call, or the end of on_event */
    uint32_t prompt_tokens, cached_tokens, drawn_tokens; /* of an answer that is done */
    uint32_t context_used;                               /* positions */
    int32_t token;
} olv_event;
#define OLV_EVENT {sizeof(olv_event), 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* The session's next event: OLV_OK, or OLV_NOTHING. */
OLV_API olv_result olv_next_event(olv_session* session, olv_event* event);

#ifdef __cplusplus
}
#endif
#endif
