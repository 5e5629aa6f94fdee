// The texts that a JSON schema allows, as a regular language.
//
// Supported: type (also several), properties (in the schema's order), required, items, minItems,
// maxItems, minLength, maxLength, minimum and maximum of integers, enum, const, anyOf, oneOf (as
// anyOf), and $ref to a part of the same schema that does not lead back to itself.
// additionalProperties is taken as false, which the schema may say or true, and title, description,
// default, examples and the like are skipped.
//
// The form: {"key": value, "other": [1, 2]} on one line, with or without the blank behind a colon
// or comma. Numbers end: integers have at most 15 digits, numbers as many behind the point too, and
// two in the exponent, so that a double holds them. Strings end where maxLength says, arrays where
// maxItems does.
#pragma once

#include <string_view>

#include "model/byte_language.h"

namespace olivine {

// schema: JSON text. Throws bad_input where it is no schema, or one that nothing fits; unsupported
// for what is not in the list above, naming it and its place, and for schemas beyond
// kMostSchemaBytes. ByteLanguages::kNone when the bytes of `languages` do not suffice.
ByteLanguages::Id read_json_schema(ByteLanguages& languages, std::string_view schema);

constexpr size_t kMostSchemaBytes = 1 << 16;  // what walks a language recurses over its parts

}  // namespace olivine
