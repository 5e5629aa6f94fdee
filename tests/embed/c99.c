/* The header is C99, and a program of a page gets an answer from the built-in model: c99 MODEL */
#include <olivine.h>
#include <stdio.h>
#include <string.h>

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            printf("line %d: %s fails (%s)\n", __LINE__, #condition, olv_last_error()); \
            return 1;                                                          \
        }                                                                      \
    } while (0)

int main(int count, char** arguments) {
    olv_device_options device_options = OLV_DEVICE_OPTIONS;
    olv_model_options model_options = OLV_MODEL_OPTIONS;
    olv_session_options session_options = OLV_SESSION_OPTIONS;
    olv_event event = OLV_EVENT;
    olv_device* device = NULL;
    olv_model* model = NULL;
    olv_session* session = NULL;
    size_t said = 0;
    int done = 0;

    CHECK(count == 2);
    CHECK(olv_version() == OLV_VERSION);
    CHECK(olv_device_create(&device_options, &device) == OLV_OK);
    model_options.path = arguments[1];
    CHECK(olv_model_load(device, &model_options, &model) == OLV_OK);
    session_options.temperature = 0;
    session_options.max_tokens = 20;
    CHECK(olv_session_create(model, &session_options, &session) == OLV_OK);
    CHECK(olv_ask(session, "Tell me a story.") == OLV_OK);
    while (!done) {
        CHECK(olv_tick(device, 2000) == OLV_OK);
        while (olv_next_event(session, &event) == OLV_OK) {
            CHECK(event.kind != OLV_EVENT_ERROR);
            if (event.kind == OLV_EVENT_TEXT)
                said += strlen(event.text);
            if (event.kind == OLV_EVENT_DONE)
                done = 1;
        }
    }
    CHECK(said > 0);
    CHECK(event.drawn_tokens == 20 && event.end == OLV_END_MAX_TOKENS);
    olv_device_destroy(device);
    printf("%u bytes were said\n", (unsigned)said);
    return 0;
}
