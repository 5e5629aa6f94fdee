# Writes the texts of FILES into OUTPUT as C++, under their paths below the working directory.
set(table "")
foreach(file IN LISTS FILES)
  file(RELATIVE_PATH path ${CMAKE_CURRENT_BINARY_DIR} ${file})
  file(READ ${file} text)
  string(APPEND table "OLIVINE_SHADER_FILE(\"${path}\", R\"glsl(${text})glsl\")\n")
endforeach()
file(WRITE ${OUTPUT} "${table}")
