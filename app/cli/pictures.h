// Pictures that the command line names.
#pragma once

#include <string>
#include <vector>

#include "app/cli/options.h"
#include "app/cli/progress.h"
#include "model/picture.h"
#include "model/vision.h"

namespace olivine {

// --image FILE, which may be given several times.
void add_image_flag(CLI::App& app, Flags& flags);
// --pan-and-scan
void add_pan_and_scan_flag(CLI::App& app, Flags& flags);

// Those of --image, in order. Throws what read_picture throws.
std::vector<Picture> read_pictures(const Flags& flags);

// The file that somebody typed or dropped into the terminal: quotes around it and backslashes
// before blanks are the shell's, "~/" is the home folder. A file that is there as typed stays so.
std::string file_as_typed(const std::string& text);

// Shows on a terminal how far a picture is encoded, and stops with Ctrl-C.
class EncodeProgress {
public:
    explicit EncodeProgress(const std::string& name) : bar_("encoding " + name) {}
    Progress loading();  // of the encoder, before the first picture
    EncodeOptions options();

private:
    ProgressBar bar_;
};

// Throws bad_input naming the model when it reads text only.
void require_vision(const Flags& flags, const Config& config);

}  // namespace olivine
