// Constraints without a model: whatever is drawn from the masks is a text of the language, and
// every text of the language can be drawn.
#include "model/constraint.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <thread>

#include "made_up_vocabulary.h"
#include "model/utf8.h"
#include "tests/support/json_schema.h"

using namespace olivine;
using nlohmann::json;
using test::error_of;
using test::fits_schema;

namespace {

Tokenizer made_up() {
    return Tokenizer::from_vocabulary(test::made_up_vocabulary());
}

std::shared_ptr<const Vocabulary> vocabulary_of(const Tokenizer& tokenizer) {
    return std::make_shared<const Vocabulary>(tokenizer);
}

bool has(const std::vector<uint32_t>& mask, int32_t id) {
    return mask[static_cast<uint32_t>(id) / 32] >> (id % 32) & 1;
}

std::vector<int32_t> ids_of(const std::vector<uint32_t>& mask) {
    std::vector<int32_t> ids;
    for (size_t id = 0; id < mask.size() * 32; ++id)
        if (has(mask, static_cast<int32_t>(id)))
            ids.push_back(static_cast<int32_t>(id));
    return ids;
}

// Whether a text may be drawn byte by byte.
bool accepts(Constraint& constraint, const Tokenizer& tokenizer, std::string_view text) {
    Constraint::State state = Constraint::kStart;
    for (const char byte : text) {
        const int32_t id = *tokenizer.id_of(format_text("<0x%02X>", static_cast<uint8_t>(byte)));
        if (!has(*constraint.mask(state), id))
            return false;
        state = constraint.after(state, id);
    }
    return constraint.may_end(state);
}

// All texts of a finite language.
std::set<std::string> texts_of(Constraint& constraint, const Tokenizer& tokenizer) {
    std::set<std::string> texts;
    std::set<std::pair<Constraint::State, std::string>> seen;  // by other tokens
    const std::function<void(Constraint::State, const std::string&)> go_on =
        [&](Constraint::State state, const std::string& text) {
            if (!seen.emplace(state, text).second)
                return;
            REQUIRE(seen.size() < 10000);
            if (constraint.may_end(state))
                texts.insert(text);
            const std::vector<int32_t> ids = ids_of(*constraint.mask(state));
            CHECK(constraint.complete(state) == ids.empty());
            for (const int32_t id : ids)
                go_on(constraint.after(state, id), text + tokenizer.bytes(id));
        };
    go_on(Constraint::kStart, "");
    return texts;
}

// A text drawn from the masks alone. What ends things is drawn more often, or strings would be
// endless.
std::string random_text(Constraint& constraint, const Tokenizer& tokenizer, uint32_t seed) {
    std::mt19937 random(seed);
    std::string text;
    Constraint::State state = Constraint::kStart;
    while (!constraint.complete(state) && !(constraint.may_end(state) && random() % 4 == 0)) {
        std::vector<int32_t> ids = ids_of(*constraint.mask(state));
        REQUIRE(!ids.empty());
        if (random() % 4 == 0) {
            std::vector<int32_t> ends;
            for (const int32_t id : ids)
                if (const std::string bytes = tokenizer.bytes(id);
                    bytes == "\"" || bytes == "]" || bytes == "}")
                    ends.push_back(id);
            if (!ends.empty())
                ids = ends;
        }
        const int32_t id = ids[random() % ids.size()];
        CHECK(!tokenizer.is_control(id));
        text += tokenizer.bytes(id);
        state = constraint.after(state, id);
    }
    return text;
}

constexpr const char* kSchemas[] = {
    R"({"type": "object", "properties": {"mood": {"enum": ["friendly", "hostile"]},
        "line": {"type": "string"}}, "required": ["mood", "line"], "additionalProperties": false})",
    R"({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 5})",
    R"({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"},
        "c": {"type": "null"}, "d": {"type": "string", "maxLength": 3}}, "required": ["c"]})",
    R"({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}}})",
    R"({"type": "string", "minLength": 2, "maxLength": 40})",
    R"({"type": "string", "minLength": 70})",
    R"({"type": ["integer", "null", "array"], "items": {"type": "boolean"}})",
    R"({"$defs": {"item": {"type": "object", "properties": {"name": {"$ref": "#/$defs/name"},
        "count": {"type": "integer", "minimum": 1, "maximum": 20}}, "required": ["name"]},
        "name": {"type": "string", "maxLength": 12}}, "type": "object", "title": "A bag", "properties": {"owner": {"$ref": "#/$defs/name"},
        "bag": {"type": "array", "items": {"$ref": "#/$defs/item"}, "maxItems": 3}}, "required": ["bag"]})",
    R"({"anyOf": [{"type": "object", "properties": {"say": {"type": "string"}}, "required": ["say"]},
        {"const": {"leave": [1, true, null, "now"]}}, {"oneOf": [{"type": "null"}, {"const": 1.5}]}]})",
    R"({"properties": {"caf\u00e9 \"x\"/~": {"type": "string", "enum": ["\u4e2d\u65e5", "a\nb", 5]}},
        "required": ["caf\u00e9 \"x\"/~"]})"};

}  // namespace

TEST_CASE("what is drawn from the masks of a schema is JSON that fits it", "[cpu][constraint]") {
    const std::string schema = GENERATE(from_range(kSchemas));
    CAPTURE(schema);
    const Tokenizer tokenizer = made_up();
    const auto constraint = Constraint::json(vocabulary_of(tokenizer), schema);
    std::set<std::string> texts;
    for (uint32_t seed = 0; seed < 300; ++seed) {
        CAPTURE(seed);
        const std::string text = random_text(*constraint, tokenizer, seed);
        CAPTURE(text);
        const json value = json::parse(text, nullptr, false);
        REQUIRE(!value.is_discarded());
        REQUIRE(fits_schema(json::parse(schema), value));
        texts.insert(text);
    }
    CHECK(texts.size() > 1);
}

TEST_CASE("a mask has the tokens that fit, each by itself", "[cpu][constraint]") {
    const std::string schema = GENERATE(from_range(kSchemas));
    CAPTURE(schema);
    const Tokenizer tokenizer = made_up();
    const auto vocabulary = vocabulary_of(tokenizer);
    const auto constraint = Constraint::json(vocabulary, schema);
    for (uint32_t seed = 0; seed < 3; ++seed) {
        std::mt19937 random(seed);
        // Token by token, without the mask's walk and what it takes for the same.
        Constraint::State state = Constraint::kStart;
        for (int step = 0; step < 60 && !constraint->complete(state); ++step) {
            std::vector<int32_t> ids;
            for (int32_t id = 0; id < tokenizer.size(); ++id)
                try {
                    constraint->after(state, id);
                    ids.push_back(id);
                } catch (const Error& error) {
                    REQUIRE(error.fault() == Fault::internal);
                }
            REQUIRE(ids_of(*constraint->mask(state)) == ids);
            state = constraint->after(state, ids[random() % ids.size()]);
        }
    }
}

TEST_CASE("every short text is in the language of a schema or not, as the schema says",
          "[cpu][constraint]") {
    // Of `alphabet`, up to so many bytes; on one line, with blanks only where they may be.
    const auto [schema, alphabet, longest] = GENERATE(table<std::string, std::string, size_t>(
        {{R"({"type": "array", "items": {"enum": [1, 12]}, "maxItems": 2})", "[],12 ", 7},
         {R"({"type": "array", "items": {"type": "integer"}, "minItems": 1})", "[],0-5", 6},
         {R"({"type": "number"})", "-+.eE01", 6},
         {R"({"type": "string", "maxLength": 2})", "\"\\an\xC3\xA9 ", 6},
         {R"({"type": ["boolean", "null"]})", "truefalsn", 5}}));
    CAPTURE(schema);
    const Tokenizer tokenizer = made_up();
    const auto constraint = Constraint::json(vocabulary_of(tokenizer), schema);
    const json parsed = json::parse(schema);
    size_t accepted = 0;
    const auto check = [&](const std::string& text) {
        const json value = json::parse(text, nullptr, false);
        bool expected = !value.is_discarded() && fits_schema(parsed, value) &&
                        !text.starts_with(' ') && !text.ends_with(' ');
        // Of what JSON allows, one form.
        if (parsed["type"] == "array") {
            expected = expected && text.find("-0") == text.npos;
            for (size_t at = text.find(' '); at != text.npos; at = text.find(' ', at + 1))
                expected = expected && text[at - 1] == ',';
        }
        if (const size_t e = text.find_first_of("eE"); parsed["type"] == "number" && e != text.npos)
            expected = expected && text.size() - text.find_first_not_of("eE+-", e) <= 2;
        if (accepts(*constraint, tokenizer, text) != expected)
            FAIL_CHECK("the text is: " << text << " and should be in it: " << expected);
        accepted += expected;
    };
    std::string text;
    const std::function<void()> go_on = [&] {
        check(text);
        if (text.size() == longest)
            return;
        for (const char byte : alphabet) {
            text += byte;
            go_on();
            text.pop_back();
        }
    };
    go_on();
    CHECK(accepted > 1);
}

TEST_CASE("objects have the schema's members in its order, and one blank or none",
          "[cpu][constraint]") {
    const Tokenizer tokenizer = made_up();
    const auto texts = [&](const char* schema) {
        return texts_of(*Constraint::json(vocabulary_of(tokenizer), schema), tokenizer);
    };
    using Texts = std::set<std::string>;
    const char* const two =
        R"({"type": "object", "properties": {"b": {"const": 1}, "a": {"const": "x"}}%s})";
    CHECK(texts(format_text(two, "").c_str()) ==
          Texts{"{}", R"({"b":1})", R"({"b": 1})", R"({"a":"x"})", R"({"a": "x"})",
                R"({"b":1,"a":"x"})", R"({"b":1,"a": "x"})", R"({"b":1, "a":"x"})",
                R"({"b":1, "a": "x"})", R"({"b": 1,"a":"x"})", R"({"b": 1,"a": "x"})",
                R"({"b": 1, "a":"x"})", R"({"b": 1, "a": "x"})"});
    const auto compact = [&](const char* more) {
        Texts all = texts(format_text(two, more).c_str());
        std::erase_if(all,
                      [](const std::string& text) { return text.find(' ') != std::string::npos; });
        return all;
    };
    CHECK(compact(R"(, "required": ["a"])") == Texts{R"({"a":"x"})", R"({"b":1,"a":"x"})"});
    CHECK(compact(R"(, "required": ["b"])") == Texts{R"({"b":1})", R"({"b":1,"a":"x"})"});
    CHECK(compact(R"(, "required": ["b", "a"])") == Texts{R"({"b":1,"a":"x"})"});
    CHECK(texts(R"({"type": "object"})") == Texts{"{}"});
    CHECK(texts(R"({"enum": [1, "b", null, 2], "const": 2})") == Texts{"2"});
    CHECK(texts(R"({"enum": [1, "b", null, 2.0, 2.5], "type": ["integer", "null"]})") ==
          Texts{"1", "null", "2.0"});
}

TEST_CASE("integers are those between their limits", "[cpu][constraint]") {
    const auto [low, high] = GENERATE(table<int, int>({{0, 0},
                                                       {-5, 7},
                                                       {3, 9},
                                                       {10, 10},
                                                       {-120, -9},
                                                       {95, 1203},
                                                       {-1, 1000},
                                                       {999, 1000},
                                                       {347, 352}}));
    const Tokenizer tokenizer = made_up();
    const auto constraint = Constraint::json(
        vocabulary_of(tokenizer),
        format_text(R"({"type": "integer", "minimum": %d, "maximum": %d})", low, high));
    std::set<std::string> expected;
    for (int number = low; number <= high; ++number)
        expected.insert(std::to_string(number));
    CHECK(texts_of(*constraint, tokenizer) == expected);
}

TEST_CASE("choices are those texts and no others", "[cpu][constraint]") {
    const std::vector<std::string> choices = {"yes",
                                              "yes, my lord",
                                              "no",
                                              "the user",
                                              "\u00E9t\u00E9",
                                              "\u4E2D\u65E5\u4E2D",
                                              "<start_of_turn>",
                                              "a\n\nb",
                                              "\u2581",
                                              "  x"};
    const Tokenizer tokenizer = made_up();
    const auto constraint = Constraint::choices(vocabulary_of(tokenizer), choices);
    CHECK(texts_of(*constraint, tokenizer) ==
          std::set<std::string>(choices.begin(), choices.end()));
    // As it would be tokenized, which may cut a character.
    for (const std::string& choice : choices) {
        CAPTURE(choice);
        if (choice == "\u2581")  // which to the tokenizer is a blank
            continue;
        Constraint::State state = Constraint::kStart;
        for (const int32_t id : tokenizer.encode(choice)) {
            REQUIRE(has(*constraint->mask(state), id));
            state = constraint->after(state, id);
        }
        CHECK(constraint->may_end(state));
        CHECK(constraint->complete(state) == (choice != "yes"));
    }
    const auto first_byte = constraint->after(Constraint::kStart, *tokenizer.id_of("<0xC3>"));
    CHECK(ids_of(*constraint->mask(first_byte)) ==
          std::vector<int32_t>{*tokenizer.id_of("<0xA9>")});
}

TEST_CASE("tokens that are not allowed narrow a constraint, and never end it badly",
          "[cpu][constraint]") {
    const Tokenizer tokenizer = made_up();
    const auto vocabulary = vocabulary_of(tokenizer);
    // Nothing with a digit, an 'e' or a byte beyond ASCII.
    std::vector<uint32_t> allowed(vocabulary->mask_words());
    for (int32_t id = 0; id < tokenizer.size(); ++id) {
        const std::string bytes = tokenizer.bytes(id);
        if (std::ranges::none_of(
                bytes, [](char c) { return c == 'e' || (c >= '0' && c <= '9') || c < 0; }))
            allowed[static_cast<uint32_t>(id) / 32] |= 1u << (id % 32);
    }
    const char* const schema =
        R"({"type": "object", "properties": {"n": {"type": ["integer", "string"]}},
                                   "required": ["n"]})";
    const auto constraint = Constraint::json(vocabulary, schema, allowed);
    for (uint32_t seed = 0; seed < 200; ++seed) {
        const std::string text = random_text(*constraint, tokenizer, seed);
        CAPTURE(text);
        const json value = json::parse(text, nullptr, false);
        REQUIRE(!value.is_discarded());
        CHECK(value["n"].is_string());
        CHECK(text.find_first_of("e0123456789") == std::string::npos);
    }
    const auto refused = [&](const std::function<void()>& make) {
        const Error error = error_of(make);
        CHECK(error.fault() == Fault::bad_input);
        CHECK(std::string(error.what()).find("allowed") != std::string::npos);
    };
    refused([&] { Constraint::json(vocabulary, R"({"type": "integer"})", allowed); });
    refused([&] {
        Constraint::choices(vocabulary, std::vector<std::string>{"no", "the user"}, allowed);
    });

    // As where a vocabulary has no pieces for single bytes.
    TokenizerVocabulary without = test::made_up_vocabulary();
    std::erase_if(without.pieces, [](const Piece& piece) { return piece.type == PieceType::byte; });
    const Tokenizer poor = Tokenizer::from_vocabulary(without);
    const auto ascii =
        Constraint::json(vocabulary_of(poor), R"({"type": "string", "maxLength": 20})");
    for (uint32_t seed = 0; seed < 100; ++seed)
        CHECK(json::accept(random_text(*ascii, poor, seed)));
    refused([&] { Constraint::choices(vocabulary_of(poor), std::vector<std::string>{"\u0436"}); });
}

TEST_CASE("what is wrong with a schema is said, with its place", "[cpu][constraint]") {
    const auto [schema, fault, words] = GENERATE(table<std::string, Fault, std::string>({
        {"{\"type\": \"obj", Fault::bad_input, "no JSON"},
        {"[]", Fault::bad_input, "of type array"},
        {"true", Fault::unsupported, "true is not supported"},
        {"{}", Fault::unsupported, "no type"},
        {R"({"type": "text"})", Fault::bad_input, "text"},
        {R"({"type": "string", "pattern": "a*"})", Fault::unsupported, "#: the keyword 'pattern'"},
        {R"({"properties": {"a": {"type": "number", "minimum": 3}}})", Fault::unsupported,
         "#/properties/a: minimum"},
        {R"({"properties": {"a": {"type": "integer", "multipleOf": 3}}})", Fault::unsupported,
         "#/properties/a: the keyword 'multipleOf'"},
        {R"({"type": "integer", "minimum": 5, "maximum": 4})", Fault::bad_input, "minimum"},
        {R"({"type": "integer", "maximum": 18446744073709551615})", Fault::bad_input, "maximum"},
        {R"({"type": "integer", "minimum": 0.5})", Fault::bad_input, "0.5"},
        {R"({"not": {"type": "null"}})", Fault::unsupported, "'not'"},
        {R"({"type": "object", "patternProperties": {}})", Fault::unsupported,
         "'patternProperties'"},
        {R"({"type": "object", "additionalProperties": {"type": "null"}})", Fault::unsupported,
         "additionalProperties"},
        {R"({"type": "object", "required": ["a"]})", Fault::bad_input, "\"a\""},
        {R"({"type": "array"})", Fault::unsupported, "'items'"},
        {R"({"type": "array", "items": {"type": "null"}, "minItems": 3, "maxItems": 2})",
         Fault::bad_input, "minItems is 3"},
        {R"({"type": "string", "maxLength": -1})", Fault::bad_input, "maxLength is -1"},
        {R"({"enum": []})", Fault::bad_input, "enum"},
        {R"({"enum": ["a"], "type": "null"})", Fault::bad_input, "enum"},
        {R"({"anyOf": []})", Fault::bad_input, "#/anyOf"},
        {R"({"anyOf": [{"type": "null"}, 5]})", Fault::bad_input, "#/anyOf/1"},
        {R"({"$ref": "#"})", Fault::unsupported, "leads back"},
        {R"({"$ref": "#/$defs/a"})", Fault::bad_input, "#/$defs/a"},
        {R"({"$ref": "http://other.org/schema"})", Fault::unsupported, "http"},
        {R"({"$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"})",
         Fault::unsupported, "leads back"},
        {R"({"properties": {"a": {"properties": {"b": {"$ref": "#/properties/a"}}}}})",
         Fault::unsupported, "leads back"},
        {std::string(70000, ' '), Fault::unsupported, "70000"},
        {std::string(10000, '['), Fault::bad_input, "no JSON"},
        {"{\"const\": " + std::string(10000, '[') + std::string(10000, ']') + "}",
         Fault::unsupported, "deep"},
    }));
    CAPTURE(schema.substr(0, 200));
    const Tokenizer tokenizer = made_up();
    const Error error = error_of([&] { Constraint::json(vocabulary_of(tokenizer), schema); });
    CAPTURE(error.what());
    CHECK(error.fault() == fault);
    CHECK(std::string(error.what()).find(words) != std::string::npos);
}

TEST_CASE("schemas may be large and deep", "[cpu][constraint]") {
    const Tokenizer tokenizer = made_up();
    const auto check = [&](const std::string& schema) {
        const auto constraint = Constraint::json(vocabulary_of(tokenizer), schema);
        const json value = json::parse(random_text(*constraint, tokenizer, 1), nullptr, false);
        CHECK(!value.is_discarded());
        CHECK(fits_schema(json::parse(schema), value));
    };
    std::string members, arrays, twice;
    for (int i = 0; i < 2000; ++i)
        members += format_text(R"(%s"%d": {"type": "null"})", i > 0 ? ", " : "", i);
    check(R"({"properties": {)" + members + "}}");
    for (int i = 0; i < 60; ++i)
        arrays += R"({"type": "array", "maxItems": 1, "items": )";
    check(arrays + R"({"type": "null"})" + std::string(60, '}'));
    // Twice as many members with each step, on paper.
    for (int i = 0; i < 30; ++i)
        twice += format_text(
            R"("%d": {"properties": {"a": {"$ref": "#/$defs/%d"}, "b": {"$ref": "#/$defs/%d"}}},)",
            i, i + 1, i + 1);
    Constraint::json(vocabulary_of(tokenizer),
                     R"({"$ref": "#/$defs/0", "$defs": {)" + twice + R"("30": {"type": "null"}}})");
}

TEST_CASE("lists of choices that are none are refused", "[cpu][constraint]") {
    const Tokenizer tokenizer = made_up();
    const auto fault_of = [&](const std::vector<std::string>& texts) {
        return error_of([&] { Constraint::choices(vocabulary_of(tokenizer), texts); }).fault();
    };
    CHECK(fault_of({}) == Fault::bad_input);
    CHECK(fault_of({"a", ""}) == Fault::bad_input);
    CHECK(fault_of({"a\xC3"}) == Fault::bad_input);
    CHECK(fault_of({std::string(70000, 'a')}) == Fault::unsupported);
    // Large, but fine.
    std::vector<std::string> many;
    for (int i = 0; i < 3000; ++i)
        many.push_back(format_text("choice %d", i));
    const auto constraint = Constraint::choices(vocabulary_of(tokenizer), many);
    for (uint32_t seed = 0; seed < 20; ++seed)
        CHECK(std::ranges::count(many, random_text(*constraint, tokenizer, seed)) == 1);
    CHECK(accepts(
        *Constraint::choices(vocabulary_of(tokenizer), std::vector{std::string(60000, 'a')}),
        tokenizer, std::string(60000, 'a')));
}

TEST_CASE("many threads may use one constraint", "[cpu][constraint]") {
    const Tokenizer tokenizer = made_up();
    const auto alone = Constraint::json(vocabulary_of(tokenizer), kSchemas[0]);
    const auto shared = Constraint::json(vocabulary_of(tokenizer), kSchemas[0]);
    std::vector<std::string> expected, got(4);
    for (uint32_t seed = 0; seed < got.size(); ++seed)
        expected.push_back(random_text(*alone, tokenizer, seed));
    {
        std::vector<std::jthread> threads;
        for (uint32_t seed = 0; seed < got.size(); ++seed)
            threads.emplace_back([&, seed] {
                // Catch2's macros are not for threads.
                std::mt19937 random(seed);
                std::string text;
                Constraint::State state = Constraint::kStart;
                while (!shared->complete(state)) {
                    const std::vector<int32_t> ids = ids_of(*shared->mask(state));
                    if (ids.empty() || text.size() > 3000)
                        break;
                    const int32_t id = ids[random() % ids.size()];
                    text += tokenizer.bytes(id);
                    state = shared->after(state, id);
                }
                got[seed] = text;
            });
    }
    for (const std::string& text : got)
        CHECK(text.starts_with("{\"mood\":"));
}

TEST_CASE("masks of the published vocabulary", "[cpu][constraint]") {
    const char* path = std::getenv("OLIVINE_GEMMA_TOKENIZER");
    if (!path)
        SKIP("OLIVINE_GEMMA_TOKENIZER does not name the published tokenizer.json");
    const Tokenizer tokenizer = Tokenizer::open(path);
    using Clock = std::chrono::steady_clock;
    const auto ms_since = [](Clock::time_point begin) {
        return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
    };
    Clock::time_point begin = Clock::now();
    const auto vocabulary = vocabulary_of(tokenizer);
    const double built = ms_since(begin);
    CHECK(vocabulary->spelled({}).all());
    for (const char* schema : kSchemas) {
        const auto constraint = Constraint::json(vocabulary, schema);
        std::vector<double> first, again;
        for (uint32_t seed = 0; seed < 20; ++seed) {
            std::mt19937 random(seed);
            std::string text;
            Constraint::State state = Constraint::kStart;
            for (int step = 0; step < 300 && !constraint->complete(state); ++step) {
                begin = Clock::now();
                const Constraint::Mask mask = constraint->mask(state);
                first.push_back(ms_since(begin));
                begin = Clock::now();
                REQUIRE(constraint->mask(state) == mask);  // the same object
                again.push_back(ms_since(begin));
                const std::vector<int32_t> ids = ids_of(*mask);
                REQUIRE(!ids.empty());
                const int32_t id = ids[random() % ids.size()];
                text += tokenizer.bytes(id);
                state = constraint->after(state, id);
            }
            if (constraint->complete(state))
                CHECK(fits_schema(json::parse(schema), json::parse(text)));
        }
        std::ranges::sort(first);
        std::ranges::sort(again);
        WARN(format_text(
            "the vocabulary in %.0f ms; %zu masks: median %.4f ms, longest %.2f ms, again %.4f ms",
            built, first.size(), first[first.size() / 2], first.back(), again[again.size() / 2]));
    }
}
