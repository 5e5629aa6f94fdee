// The command line.
#pragma once

#include <cstdint>
#include <string>

struct Options {
    std::string model, cache_folder, screenshot;
    int device = -1;
    uint32_t budget_us = 2000, width = 1280, height = 720;
    uint32_t frames = 0;  // of a measured run, at least; 0: until the window closes
    uint32_t samples = 4, seed = 1;
    bool headless = false, json = false, validate = false;
};

// Ends the program, with exit code 0 after --help and 2 where the options are wrong.
Options read_options(int count, char** arguments);
