// For the leak checker of programs on lavapipe, which loses 128 bytes an instance of its own, and
// only while it stays loaded do they have its name. Freed memory is kept for a while to catch later
// uses; lavapipe allocates so much that all would fill the memory.
#ifdef __SANITIZE_ADDRESS__
extern "C" {
int dlclose(void*) {
    return 0;
}
const char* __lsan_default_suppressions() {
    return "leak:libvulkan_lvp.so\n";
}
const char* __asan_default_options() {
    return "quarantine_size_mb=16:thread_local_quarantine_size_kb=64";
}
}
#endif
