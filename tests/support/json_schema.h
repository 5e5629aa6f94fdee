// Whether a value fits a JSON schema, written too plainly to be wrong; for the keywords that we
// support.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace olivine::test {

inline bool fits_schema(const nlohmann::json& root, const nlohmann::json& schema,
                        const nlohmann::json& value) {
    using nlohmann::json;
    const auto fits = [&](const json& part, const json& of) { return fits_schema(root, part, of); };
    if (schema.contains("$ref") &&
        !fits(root.at(json::json_pointer(schema["$ref"].get<std::string>().substr(1))), value))
        return false;
    if (schema.contains("const") && schema["const"] != value)
        return false;
    if (schema.contains("enum") &&
        std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end())
        return false;
    for (const char* keyword : {"anyOf", "oneOf"})
        if (schema.contains(keyword) &&
            std::none_of(schema[keyword].begin(), schema[keyword].end(),
                         [&](const json& each) { return fits(each, value); }))
            return false;
    if (schema.contains("type")) {
        const json types =
            schema["type"].is_array() ? schema["type"] : json::array({schema["type"]});
        bool any = false;
        for (const json& type : types)
            any = any || (type == "object" && value.is_object()) ||
                  (type == "array" && value.is_array()) ||
                  (type == "string" && value.is_string()) ||
                  (type == "number" && value.is_number()) ||
                  (type == "integer" && value.is_number_integer()) ||
                  (type == "boolean" && value.is_boolean()) || (type == "null" && value.is_null());
        if (!any)
            return false;
    }
    if (value.is_number() &&
        (value < schema.value("minimum", -1e300) || value > schema.value("maximum", 1e300)))
        return false;
    if (value.is_object()) {
        for (const json& name : schema.value("required", json::array()))
            if (!value.contains(name.get<std::string>()))
                return false;
        const json none = json::object();
        const json& properties = schema.contains("properties") ? schema["properties"] : none;
        for (const auto& [name, member] : value.items())
            if (schema.contains("properties") &&
                (!properties.contains(name) || !fits(properties[name], member)))
                return false;
    }
    if (value.is_array()) {
        if (value.size() < schema.value("minItems", size_t{0}) ||
            value.size() > schema.value("maxItems", SIZE_MAX))
            return false;
        for (const json& item : value)
            if (schema.contains("items") && !fits(schema["items"], item))
                return false;
    }
    if (value.is_string()) {
        const std::string text = value;
        const auto length = static_cast<size_t>(std::count_if(
            text.begin(), text.end(), [](char byte) { return (byte & 0xC0) != 0x80; }));
        if (length < schema.value("minLength", size_t{0}) ||
            length > schema.value("maxLength", SIZE_MAX))
            return false;
    }
    return true;
}

inline bool fits_schema(const nlohmann::json& schema, const nlohmann::json& value) {
    return fits_schema(schema, schema, value);
}

}  // namespace olivine::test
