#include "model/json_schema.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "engine/error.h"
#include "model/file.h"

namespace olivine {
namespace {

using Json = nlohmann::ordered_json;
using Id = ByteLanguages::Id;
using Keywords = std::vector<std::string_view>;

constexpr uint32_t kMostDepth = 64;        // schemas in schemas
constexpr int kMostJsonDepth = 256;        // what copies and prints values recurses
constexpr uint32_t kMostCount = 1u << 30;  // in minItems and the like
constexpr uint32_t kMostDigits = 15;       // that a double keeps
constexpr int64_t kMostInteger = 999'999'999'999'999;

// They restrict nothing.
constexpr std::string_view kAnnotations[] = {"title",    "description", "default",  "examples",
                                             "$schema",  "$id",         "$comment", "deprecated",
                                             "readOnly", "writeOnly",   "$defs",    "definitions"};

std::string text_of(const Json& value) {
    return value.dump(-1, ' ', false);
}

// A member's place, as in '#/properties/name'.
std::string member(const std::string& place, std::string_view name) {
    return place + "/" + printable(name);
}

class SchemaReader {
public:
    SchemaReader(ByteLanguages& languages, const Json& root)
        : all_(languages),
          root_(root),
          blank_(all_.optional(all_.literal(" "))),
          comma_(all_.sequence({all_.literal(","), blank_})),
          string_character_(string_character()) {}

    Id read(const Json& schema, const std::string& place) {
        if (schema.is_boolean())
            fail(Fault::unsupported, "JSON schema, %s: %s is not supported as a schema.",
                 place.c_str(), text_of(schema).c_str());
        if (!schema.is_object())
            fail(Fault::bad_input,
                 "JSON schema, %s: a schema is an object, and this is of type %s.", place.c_str(),
                 schema.type_name());
        if (++depth_ > kMostDepth)
            fail(Fault::unsupported, "JSON schema, %s: it is more than %u schemas deep.",
                 place.c_str(), kMostDepth);
        const Id language = read_object(schema, place);
        --depth_;
        return language;
    }

private:
    // Of the forms that a schema can have.
    Id read_object(const Json& schema, const std::string& place) {
        if (schema.contains("$ref")) {
            require_only(schema, place, {"$ref"});
            return reference(schema["$ref"], place);
        }
        for (const char* keyword : {"anyOf", "oneOf"})
            if (schema.contains(keyword)) {
                require_only(schema, place, {keyword});
                return alternatives(schema[keyword], member(place, keyword));
            }
        if (schema.contains("enum") || schema.contains("const")) {
            require_only(schema, place, {"enum", "const", "type"});
            return values(schema, place);
        }
        const std::vector<std::string> types = types_of(schema, place);
        Keywords keywords = {"type"};
        for (const std::string& type : types)
            keywords.insert(keywords.end(), keywords_of(type).begin(), keywords_of(type).end());
        require_only(schema, place, keywords);
        std::vector<Id> parts;
        for (const std::string& type : types)
            parts.push_back(of_type(type, schema, place));
        return all_.either(parts);
    }

    static const Keywords& keywords_of(const std::string& type) {
        static const Keywords object = {"properties", "required", "additionalProperties"},
                              array = {"items", "minItems", "maxItems"},
                              string = {"minLength", "maxLength"}, number = {"minimum", "maximum"},
                              others = {};
        if (type == "object")
            return object;
        if (type == "array")
            return array;
        if (type == "string")
            return string;
        return type == "integer" || type == "number" ? number : others;
    }

    static void require_only(const Json& schema, const std::string& place,
                             const Keywords& keywords) {
        for (const auto& [name, value] : schema.items())
            if (std::ranges::find(keywords, name) == keywords.end() &&
                std::ranges::find(kAnnotations, name) == std::end(kAnnotations))
                fail(Fault::unsupported, "JSON schema, %s: the keyword '%s' is not supported%s.",
                     place.c_str(), printable(name).c_str(),
                     keywords.empty()
                         ? ""
                         : (" beside '" + std::string(keywords.front()) + "'").c_str());
    }

    // "type", or what the other keywords are about.
    static std::vector<std::string> types_of(const Json& schema, const std::string& place) {
        std::vector<std::string> types;
        if (const auto type = schema.find("type"); type != schema.end()) {
            for (const Json& each : type->is_array() ? *type : Json::array({*type}))
                types.push_back(each.is_string() ? each.get<std::string>() : "");
        } else {
            for (const char* each : {"object", "array", "string"})
                if (std::ranges::any_of(keywords_of(each), [&](std::string_view name) {
                        return schema.contains(name);
                    }))
                    types.emplace_back(each);
        }
        for (const std::string& type : types)
            if (std::ranges::find(kTypes, type) == std::end(kTypes))
                fail(Fault::bad_input, "JSON schema, %s: the type is %s.", place.c_str(),
                     text_of(schema["type"]).c_str());
        if (types.empty()) {
            require_only(schema, place, {});
            fail(Fault::unsupported,
                 "JSON schema, %s: it has no type (any value is not supported).", place.c_str());
        }
        return types;
    }

    Id of_type(const std::string& type, const Json& schema, const std::string& place) {
        if (type == "object")
            return object(schema, place);
        if (type == "array")
            return array(schema, place);
        if (type == "string")
            return string(schema, place);
        if (type == "integer")
            return integer(schema, place);
        if (type == "number")
            return number(schema, place);
        if (type == "boolean")
            return all_.either({all_.literal("true"), all_.literal("false")});
        return all_.literal("null");
    }

    Id object(const Json& schema, const std::string& place) {
        const Json none = Json::object();
        const Json& properties = schema.contains("properties") ? schema["properties"] : none;
        if (!properties.is_object())
            fail(Fault::bad_input, "JSON schema, %s: properties is no object.", place.c_str());
        if (const auto more = schema.find("additionalProperties");
            more != schema.end() && !more->is_boolean())
            fail(
                Fault::unsupported,
                "JSON schema, %s: additionalProperties that is not true or false is not supported.",
                place.c_str());
        const std::set<std::string> required = required_of(schema, properties, place);

        // From the last one: what may come behind a property that is there.
        std::vector<Id> begin_here, behind = {kEmptyText};
        for (auto it = properties.end(); it != properties.begin();) {
            --it;
            const Id one =
                all_.sequence({all_.literal(text_of(Json(it.key())) + ":"), blank_,
                               read(it.value(), member(member(place, "properties"), it.key()))});
            begin_here.push_back(all_.sequence({one, behind.back()}));
            const Id with_comma = all_.sequence({comma_, one});
            behind.push_back(
                all_.sequence({required.contains(it.key()) ? with_comma : all_.optional(with_comma),
                               behind.back()}));
        }
        // The first one that is there: none before it is required.
        std::vector<Id> bodies;
        auto begins = begin_here.rbegin();
        bool may_be_empty = true;
        for (auto it = properties.begin(); it != properties.end() && may_be_empty; ++it, ++begins) {
            bodies.push_back(*begins);
            may_be_empty = !required.contains(it.key());
        }
        if (may_be_empty)
            bodies.push_back(kEmptyText);
        return all_.sequence({all_.literal("{"), all_.either(bodies), all_.literal("}")});
    }

    static std::set<std::string> required_of(const Json& schema, const Json& properties,
                                             const std::string& place) {
        std::set<std::string> required;
        const auto list = schema.find("required");
        if (list == schema.end())
            return required;
        if (!list->is_array())
            fail(Fault::bad_input, "JSON schema, %s: required is no list.", place.c_str());
        for (const Json& name : *list) {
            if (!name.is_string() || !properties.contains(name.get<std::string>()))
                fail(Fault::bad_input, "JSON schema, %s: required names %s, which is no property.",
                     place.c_str(), text_of(name).c_str());
            required.insert(name.get<std::string>());
        }
        return required;
    }

    Id array(const Json& schema, const std::string& place) {
        const auto [least, most] = counts(schema, "minItems", "maxItems", place);
        if (most == 0)
            return all_.literal("[]");
        if (!schema.contains("items"))
            fail(Fault::unsupported, "JSON schema, %s: an array without 'items' is not supported.",
                 place.c_str());
        const Id item = read(schema["items"], member(place, "items"));
        const Id more = all_.repeat(all_.sequence({comma_, item}), least > 0 ? least - 1 : 0,
                                    most == ByteLanguages::kUnbounded ? most : most - 1);
        const Id some = all_.sequence({item, more});
        return all_.sequence(
            {all_.literal("["), least > 0 ? some : all_.optional(some), all_.literal("]")});
    }

    Id string(const Json& schema, const std::string& place) {
        const auto [least, most] = counts(schema, "minLength", "maxLength", place);
        const Id quote = all_.literal("\"");
        return all_.sequence({quote, all_.repeat(string_character_, least, most), quote});
    }

    static std::pair<uint32_t, uint32_t> counts(const Json& schema, const char* least,
                                                const char* most, const std::string& place) {
        const auto count = [&](const char* keyword, uint32_t otherwise) {
            const auto at = schema.find(keyword);
            if (at == schema.end())
                return otherwise;
            if (!at->is_number_unsigned() || at->get<uint64_t>() > kMostCount)
                fail(Fault::bad_input, "JSON schema, %s: %s is %s (an integer from 0 to %u).",
                     place.c_str(), keyword, text_of(*at).c_str(), kMostCount);
            return at->get<uint32_t>();
        };
        const std::pair both(count(least, 0), count(most, ByteLanguages::kUnbounded));
        if (both.first > both.second)
            fail(Fault::bad_input, "JSON schema, %s: %s is %u, %s %u.", place.c_str(), least,
                 both.first, most, both.second);
        return both;
    }

    Id minus() { return all_.optional(all_.literal("-")); }
    Id digit() { return all_.range('0', '9'); }

    // Numbers from one to the other, which have as many digits.
    Id between(std::string_view low, std::string_view high) {
        if (low.empty())
            return kEmptyText;
        const auto with = [&](char first, char last, Id rest) {
            return all_.sequence(
                {all_.range(static_cast<uint8_t>(first), static_cast<uint8_t>(last)), rest});
        };
        const std::string_view low_rest = low.substr(1), high_rest = high.substr(1);
        if (low[0] == high[0])
            return with(low[0], low[0], between(low_rest, high_rest));
        const auto digits = static_cast<uint32_t>(low_rest.size());
        const std::string zeros(digits, '0'), nines(digits, '9');
        char first = low[0], last = high[0];  // those that any digits may follow
        std::vector<Id> parts;
        if (low_rest != zeros) {
            parts.push_back(with(low[0], low[0], between(low_rest, nines)));
            ++first;
        }
        if (high_rest != nines) {
            parts.push_back(with(high[0], high[0], between(zeros, high_rest)));
            --last;
        }
        if (first <= last)
            parts.push_back(with(first, last, all_.repeat(digit(), digits, digits)));
        return all_.either(parts);
    }

    // The same with any number of digits; 0 <= low.
    Id natural(int64_t low, int64_t high) {
        std::vector<Id> parts;
        for (int64_t first = 0, last = 9; first <= high; first = last + 1, last = last * 10 + 9)
            if (const int64_t from = std::max(low, first), to = std::min(high, last); from <= to)
                parts.push_back(between(std::to_string(from), std::to_string(to)));
        return all_.either(parts);
    }

    Id integer(const Json& schema, const std::string& place) {
        const auto limit = [&](const char* keyword, int64_t otherwise) {
            const auto at = schema.find(keyword);
            if (at == schema.end())
                return otherwise;
            if (!at->is_number_integer() || std::abs(at->get<double>()) > kMostInteger)
                fail(Fault::bad_input,
                     "JSON schema, %s: %s is %s (an integer of at most %u digits).", place.c_str(),
                     keyword, text_of(*at).c_str(), kMostDigits);
            return at->get<int64_t>();
        };
        const int64_t low = limit("minimum", -kMostInteger), high = limit("maximum", kMostInteger);
        if (low > high)
            fail(Fault::bad_input, "JSON schema, %s: minimum is more than maximum.", place.c_str());
        return all_.either(
            {all_.sequence({all_.literal("-"), natural(std::max<int64_t>(1, -high), -low)}),
             natural(std::max<int64_t>(0, low), high)});
    }

    Id number(const Json& schema, const std::string& place) {
        if (schema.contains("minimum") || schema.contains("maximum"))
            fail(Fault::unsupported,
                 "JSON schema, %s: minimum and maximum are supported for integers only.",
                 place.c_str());
        const Id fraction =
            all_.sequence({all_.literal("."), all_.repeat(digit(), 1, kMostDigits)});
        const Id exponent =
            all_.sequence({all_.either({all_.literal("e"), all_.literal("E")}),
                           all_.optional(all_.either({all_.literal("+"), all_.literal("-")})),
                           all_.repeat(digit(), 1, 2)});
        return all_.sequence(
            {minus(), natural(0, kMostInteger), all_.optional(fraction), all_.optional(exponent)});
    }

    // One of RFC 8259's, valid UTF-8 (Unicode's table 3-7): as itself or escaped.
    Id string_character() {
        ByteSet plain;
        for (uint32_t byte = 0x20; byte < 0x80; ++byte)
            plain.set(byte, byte != '"' && byte != '\\');
        const auto hex = [&](std::string_view digits) {
            ByteSet set;
            for (const char digit : digits)
                set.set(static_cast<uint8_t>(digit));
            return all_.one_of(set);
        };
        const Id any = hex("0123456789abcdefABCDEF"), d = hex("dD"), u = all_.literal("\\u");
        const Id more = all_.range(0x80, 0xBF);
        return all_.either(
            {all_.one_of(plain), all_.sequence({all_.literal("\\"), hex("\"\\/bfnrt")}),
             all_.sequence({u, hex("0123456789abcefABCEF"), any, any, any}),
             all_.sequence({u, d, hex("01234567"), any, any}),
             all_.sequence({u, d, hex("89abAB"), any, any, u, d, hex("cdefCDEF"), any, any}),
             all_.sequence({all_.range(0xC2, 0xDF), more}),
             all_.sequence({all_.range(0xE0, 0xE0), all_.range(0xA0, 0xBF), more}),
             all_.sequence({all_.range(0xE1, 0xEC), more, more}),
             all_.sequence({all_.range(0xED, 0xED), all_.range(0x80, 0x9F), more}),
             all_.sequence({all_.range(0xEE, 0xEF), more, more}),
             all_.sequence({all_.range(0xF0, 0xF0), all_.range(0x90, 0xBF), more, more}),
             all_.sequence({all_.range(0xF1, 0xF3), more, more, more}),
             all_.sequence({all_.range(0xF4, 0xF4), all_.range(0x80, 0x8F), more, more})});
    }

    Id alternatives(const Json& list, const std::string& place) {
        if (!list.is_array() || list.empty())
            fail(Fault::bad_input, "JSON schema, %s: it is a list with at least one schema.",
                 place.c_str());
        std::vector<Id> parts;
        for (size_t i = 0; i < list.size(); ++i)
            parts.push_back(read(list[i], member(place, std::to_string(i))));
        return all_.either(parts);
    }

    // Of enum, const, or both, those that are of the type, if it is said.
    Id values(const Json& schema, const std::string& place) {
        const auto list = schema.find("enum"), one = schema.find("const"),
                   type = schema.find("type");
        if (list != schema.end() && !list->is_array())
            fail(Fault::bad_input, "JSON schema, %s: enum is not a list.", place.c_str());
        const std::vector<std::string> types =
            type != schema.end() ? types_of(schema, place) : std::vector<std::string>{};
        std::vector<Id> parts;
        for (const Json& value : list != schema.end() ? *list : Json::array({*one})) {
            const auto fits = [&](const std::string& name) { return is_a(value, name); };
            if ((one == schema.end() || value == *one) &&
                (types.empty() || std::ranges::any_of(types, fits)))
                parts.push_back(all_.literal(text_of(value)));
        }
        if (parts.empty())
            fail(Fault::bad_input, "JSON schema, %s: no value of enum or const fits.",
                 place.c_str());
        return all_.either(parts);
    }

    static bool is_a(const Json& value, const std::string& type) {
        if (type == "integer")
            return value.is_number_integer() ||
                   (value.is_number_float() &&
                    std::trunc(value.get<double>()) == value.get<double>());
        return type == (value.is_number() ? "number" : value.type_name());
    }

    Id reference(const Json& to, const std::string& place) {
        const std::string name = to.is_string() ? to.get<std::string>() : "";
        if (const auto known = references_.find(name); known != references_.end()) {
            if (!known->second)
                fail(Fault::unsupported, "JSON schema, %s: $ref '%s' leads back to itself.",
                     place.c_str(), printable(name).c_str());
            return *known->second;
        }
        const Json* const found = name == "#"              ? &root_
                                  : name.starts_with("#/") ? find(name.substr(1))
                                                           : nullptr;
        if (!found)
            fail(name.starts_with("#/") || name.empty() ? Fault::bad_input : Fault::unsupported,
                 "JSON schema, %s: $ref %s names no part of the schema (such as '#/$defs/name').",
                 place.c_str(), text_of(to).c_str());
        references_[name] = std::nullopt;
        const Id language = read(*found, name);
        references_[name] = language;
        return language;
    }

    const Json* find(const std::string& pointer) const {
        try {
            const Json::json_pointer at(pointer);
            return root_.contains(at) ? &root_.at(at) : nullptr;
        } catch (
            const Json::exception&) {  // a '~' that is no escape: the library says so by throwing
            return nullptr;
        }
    }

    static constexpr Id kEmptyText = ByteLanguages::kEmpty;
    static constexpr std::string_view kTypes[] = {"object", "array",   "string", "integer",
                                                  "number", "boolean", "null"};
    ByteLanguages& all_;
    const Json& root_;
    Id blank_, comma_, string_character_;
    uint32_t depth_ = 0;
    std::map<std::string, std::optional<Id>> references_ = {
        {"#", std::nullopt}};  // empty: being read
};

}  // namespace

ByteLanguages::Id read_json_schema(ByteLanguages& languages, std::string_view schema) {
    if (schema.size() > kMostSchemaBytes)
        fail(Fault::unsupported, "The JSON schema has %zu bytes (at most %zu).", schema.size(),
             kMostSchemaBytes);
    Json root;
    bool too_deep = false;
    try {
        root = Json::parse(schema, [&](int depth, Json::parse_event_t, const Json&) {
            too_deep = too_deep || depth > kMostJsonDepth;
            return !too_deep;
        });
    } catch (const Json::exception& error) {  // the library says so by throwing
        fail(Fault::bad_input, "The JSON schema is no JSON: %s.", printable(error.what()).c_str());
    }
    if (too_deep)
        fail(Fault::unsupported, "The JSON schema is more than %d values deep.", kMostJsonDepth);
    return SchemaReader(languages, root).read(root, "#");
}

}  // namespace olivine
