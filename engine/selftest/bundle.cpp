#include "engine/selftest/bundle.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/shader_folder.h"

namespace olivine::selftest {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

template <typename T>
void write_file(const fs::path& path, const std::vector<T>& values) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(values.data()),
               static_cast<std::streamsize>(values.size() * sizeof(T)));
    if (!file.flush())
        fail(Fault::bad_input, "%s cannot be written.", path.c_str());
}

template <typename T>
std::vector<T> read_file(const fs::path& path, uint64_t count) {
    std::error_code error;
    const uint64_t size = fs::file_size(path, error);
    if (error || size != count * sizeof(T))
        fail(Fault::bad_file, "%s does not have the %llu bytes that its bundle says.", path.c_str(),
             static_cast<unsigned long long>(count * sizeof(T)));
    std::vector<T> values(count);
    std::ifstream file(path, std::ios::binary);
    if (!file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(size)))
        fail(Fault::bad_file, "%s cannot be read.", path.c_str());
    return values;
}

std::vector<std::byte> bytes_of(Device& device, const Slice& slice) {
    std::vector<std::byte> bytes(slice.bytes);
    read(device, slice, bytes);
    return bytes;
}

// "linear-int_dot-q8_0-35x160-70-tokens-seed-1"
std::string folder_name(const Outcome& outcome, uint32_t seed) {
    std::string text = outcome.op + "-" + outcome.variant + "-" + outcome.name +
                       format_text("-seed-%u", seed);
    for (char& c : text)
        if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '-')
            c = '-';
    text.erase(std::unique(text.begin(), text.end(),
                           [](char a, char b) { return a == '-' && b == '-'; }),
               text.end());
    return text;
}

}  // namespace

std::string write_bundle(const std::string& parent, Scene& scene, const Outcome& outcome,
                         const Measured& measured, uint32_t seed) {
    const fs::path folder = fs::path(parent) / folder_name(outcome, seed);
    std::error_code error;
    fs::remove_all(folder, error);
    if (!fs::create_directories(folder, error))
        fail(Fault::bad_input, "%s cannot be made: %s.", folder.c_str(), error.message().c_str());

    std::vector<const Buffer*> buffers;
    const auto place = [&](const Slice& slice) -> Json {
        if (!slice.buffer)
            return nullptr;
        const auto at = std::find(buffers.begin(), buffers.end(), slice.buffer);
        const size_t index = static_cast<size_t>(at - buffers.begin());
        if (at == buffers.end())
            buffers.push_back(slice.buffer);
        return {{"buffer", index}, {"offset", slice.offset}, {"bytes", slice.bytes}};
    };

    const DeviceInfo& info = scene.device.info();
    Json json = {{"op", outcome.op},
                 {"case", outcome.name},
                 {"variant", outcome.variant},
                 {"seed", seed},
                 {"device", info.name},
                 {"driver", info.driver},
                 {"reason", outcome.reason},
                 {"by_check", measured.by_check},
                 {"command", "olivine selftest --replay " + folder.filename().string()},
                 {"inputs", Json::array()},
                 {"outputs", Json::array()},
                 {"dispatches", Json::array()},
                 {"buffers", Json::array()}};
    for (const Dispatch& dispatch : scene.dispatches()) {
        const std::string spirv = dispatch.shader + ".spv";
        write_file(folder / spirv,
                   std::vector<uint32_t>(dispatch.spirv.begin(), dispatch.spirv.end()));
        Json bindings = Json::array();
        for (const Slice& slice : dispatch.buffers)
            bindings.push_back(place(slice));
        json["dispatches"].push_back({{"shader", dispatch.shader},
                                      {"words", dispatch.spirv.size()},
                                      {"threads", dispatch.threads},
                                      {"constants", dispatch.constants},
                                      {"push_constants", dispatch.params},
                                      {"grid", {dispatch.grid.x, dispatch.grid.y, dispatch.grid.z}},
                                      {"indirect", place(dispatch.indirect)},
                                      {"bindings", bindings}});
    }
    for (const Block& block : scene.blocks()) {
        if (block.role == Block::Role::input) {
            json["inputs"].push_back(place(block.memory->slice()));
            continue;
        }
        const std::string file = std::to_string(json["outputs"].size());
        write_file(folder / (file + ".got"), block.memory->read<uint32_t>());
        if (!block.want.empty())
            write_file(folder / (file + ".want"), block.want);
        else if (!block.want_words.empty())
            write_file(folder / (file + ".want"), block.want_words);
        json["outputs"].push_back({{"name", block.name},
                                   {"at", place(block.memory->slice())},
                                   {"rows", block.rows},
                                   {"cols", block.cols},
                                   {"stride", block.stride},
                                   {"doubles", block.want.size()},
                                   {"words", block.want_words.size()},
                                   {"nmse_bar", block.bar.nmse},
                                   {"largest_bar", block.bar.largest}});
    }
    scene.restore();
    for (size_t i = 0; i < buffers.size(); ++i) {
        write_file(folder / (std::to_string(i) + ".before"),
                   bytes_of(scene.device, buffers[i]->slice()));
        json["buffers"].push_back(buffers[i]->bytes());
    }
    const std::string text = json.dump(2) + "\n";
    write_file(folder / "bundle.json", std::vector<char>(text.begin(), text.end()));
    return folder.string();
}

Bundle::Bundle(Device& device, const std::string& path) : device_(device) {
    const fs::path folder = path, file = folder / "bundle.json";
    std::ifstream stream(file);
    if (!stream)
        fail(Fault::bad_file, "%s cannot be opened.", file.c_str());
    try {
        const Json json = Json::parse(stream);
        outcome_.op = json.at("op");
        outcome_.name = json.at("case");
        outcome_.variant = json.at("variant");
        by_check_ = json.at("by_check");
        for (const Json& each : json.at("buffers")) {
            const uint64_t bytes = each;
            before_.push_back(read_file<uint32_t>(
                folder / (std::to_string(buffers_.size()) + ".before"), bytes / 4));
            buffers_.push_back(std::make_unique<Buffer>(device, Arena::activations, bytes));
        }
        const auto slice = [&](const Json& at) -> Slice {
            if (at.is_null())
                return {};
            const size_t index = at.at("buffer");
            const uint64_t offset = at.at("offset"), bytes = at.at("bytes");
            if (index >= buffers_.size() || offset > buffers_[index]->bytes() ||
                bytes > buffers_[index]->bytes() - offset)
                fail(Fault::bad_file, "%s: a range lies outside its buffer.", file.c_str());
            return buffers_[index]->slice(offset, bytes);
        };
        for (const Json& each : json.at("inputs"))
            inputs_.push_back(slice(each));
        for (const Json& each : json.at("outputs")) {
            const std::string index = std::to_string(outputs_.size());
            Block& block = outputs_.emplace_back();
            block.name = each.at("name");
            block.rows = each.at("rows");
            block.cols = each.at("cols");
            block.stride = each.at("stride");
            block.bar = {each.at("nmse_bar"), each.at("largest_bar")};
            places_.push_back(slice(each.at("at")));
            const uint64_t words = places_.back().bytes / 4;
            const uint64_t values = uint64_t{block.rows} * block.cols;
            const uint64_t doubles = each.at("doubles"), exact = each.at("words");
            if (uint64_t{block.rows} * block.stride > words || block.cols > block.stride ||
                (doubles != 0 && doubles != values) || (exact != 0 && exact != words))
                fail(Fault::bad_file, "%s: the sizes of output %s do not fit.", file.c_str(),
                     index.c_str());
            if (doubles > 0)
                block.want = read_file<double>(folder / (index + ".want"), doubles);
            if (exact > 0)
                block.want_words = read_file<uint32_t>(folder / (index + ".want"), exact);
            got_.push_back(read_file<uint32_t>(folder / (index + ".got"), words));
            const auto before =
                before_[each.at("at").at("buffer")].begin() +
                static_cast<ptrdiff_t>(places_.back().offset / 4);
            block.before.assign(before, before + static_cast<ptrdiff_t>(words));
        }
        for (const Json& each : json.at("dispatches")) {
            Dispatch one;
            one.shader = each.at("shader");
            if (one.shader.find_first_of("/\\") != std::string::npos)
                fail(Fault::bad_file, "%s: '%s' is no shader's name.", file.c_str(),
                     one.shader.c_str());
            spirv_.push_back(read_file<uint32_t>(folder / (one.shader + ".spv"), each.at("words")));
            one.threads = each.at("threads");
            one.constants = each.at("constants").get<std::vector<uint32_t>>();
            one.params = each.at("push_constants").get<std::vector<uint32_t>>();
            one.grid = {each.at("grid").at(0), each.at("grid").at(1), each.at("grid").at(2)};
            one.indirect = slice(each.at("indirect"));
            for (const Json& binding : each.at("bindings"))
                one.buffers.push_back(slice(binding));
            if (one.buffers.size() > 8 || one.params.size() > 32)
                fail(Fault::bad_file, "%s: %s takes more than any shader may.", file.c_str(),
                     one.shader.c_str());
            dispatches_.push_back(std::move(one));
        }
    } catch (const nlohmann::json::exception& error) {
        fail(Fault::bad_file, "%s is not a bundle: %s.", file.c_str(), error.what());
    }
}

// Of the buffers with an input or an output, nothing changes but outputs. The others are weights, and
// what an operation allocates by itself.
std::string Bundle::beside() const {
    for (size_t i = 0; i < buffers_.size(); ++i) {
        const auto here = [&](const Slice& place) { return place.buffer == buffers_[i].get(); };
        if (std::none_of(inputs_.begin(), inputs_.end(), here) &&
            std::none_of(places_.begin(), places_.end(), here))
            continue;
        std::vector<uint32_t> after(before_[i].size());
        read(device_, buffers_[i]->slice(), std::as_writable_bytes(std::span(after)));
        for (const Slice& place : places_)
            if (here(place))
                std::copy_n(before_[i].begin() + static_cast<ptrdiff_t>(place.offset / 4),
                            place.bytes / 4, after.begin() + static_cast<ptrdiff_t>(place.offset / 4));
        if (after != before_[i])
            return format_text("buffer %zu is written where nothing may be", i);
    }
    return {};
}

Outcome Bundle::run() {
    const uint64_t messages = device_.validation_messages();
    Recorder recorder(device_, "replay");
    for (size_t i = 0; i < dispatches_.size(); ++i) {
        const Dispatch& one = dispatches_[i];
        ShaderFolder* folder = device_.shaders();
        const Pipeline pipeline(device_, {.name = one.shader.c_str(),
                                          .spirv = folder ? folder->spirv(one.shader) : spirv_[i],
                                          .buffers = static_cast<uint32_t>(one.buffers.size()),
                                          .push_bytes = static_cast<uint32_t>(one.params.size() * 4),
                                          .threads = one.threads,
                                          .constants = one.constants});
        recorder.repeat(pipeline, one);
        outcome_.shaders.push_back(one.shader);
    }
    Plan plan = recorder.finish();
    const auto wrong = [&](const std::string& what) {
        if (outcome_.reason.empty())
            outcome_.reason = what;
    };
    Measured measured;
    bool same = true;
    std::vector<std::vector<uint32_t>> first(outputs_.size());
    for (uint32_t round = 0; round < 2; ++round) {
        for (size_t i = 0; i < buffers_.size(); ++i)
            write(device_, buffers_[i]->slice(), std::as_bytes(std::span(before_[i])));
        plan.run();
        for (size_t i = 0; i < outputs_.size(); ++i) {
            const Block& block = outputs_[i];
            std::vector<uint32_t> words(places_[i].bytes / 4);
            read(device_, places_[i], std::as_writable_bytes(std::span(words)));
            same = same && words == got_[i];
            if (block.want.empty() && block.want_words.empty())
                continue;
            const std::string what = compare_output(block, words, measured);
            if (!what.empty())
                wrong(block.name + ": " + what);
            if (round == 0)
                first[i] = std::move(words);
            else if (words != first[i])
                wrong(block.name + ": a second run gives other bits");
        }
        wrong(beside());
    }
    // What the case checked is not in the bundle; the same bits are as wrong as then.
    if (by_check_ && same)
        wrong("every bit is as in the failed run");
    if (device_.validation_messages() != messages)
        wrong("the validation layers have something to say");
    outcome_.status = outcome_.reason.empty() ? Status::pass : Status::fail;
    outcome_.nmse = measured.nmse;
    outcome_.max_abs = measured.max_abs;
    outcome_.seconds = plan.gpu_seconds();
    return outcome_;
}

}  // namespace olivine::selftest
