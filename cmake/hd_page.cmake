# hd_page(TARGET FOLDER): adds the files of FOLDER to TARGET as hd__page_files (serve/page.h).
# The same file is the script that writes the C source, without anything but CMake itself:
#   cmake -DFOLDER=web -DOUTPUT=page_files.c -P cmake/hd_page.cmake
function(hd_page target folder)
  file(GLOB files CONFIGURE_DEPENDS "${folder}/*.*")
  set(output "${PROJECT_BINARY_DIR}/generated/page_files.c")
  add_custom_command(
    OUTPUT "${output}"
    COMMAND "${CMAKE_COMMAND}" "-DFOLDER=${folder}" "-DOUTPUT=${output}" -P "${CMAKE_CURRENT_FUNCTION_LIST_FILE}"
    DEPENDS ${files} "${CMAKE_CURRENT_FUNCTION_LIST_FILE}"
    COMMENT "Turning the page into C" VERBATIM)
  target_sources(${target} PRIVATE "${output}")
endfunction()

if(NOT CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  return()
endif()

set(type_html "text/html; charset=utf-8")
set(type_css "text/css; charset=utf-8")
set(type_js "text/javascript; charset=utf-8")
set(type_svg "image/svg+xml")

file(GLOB names RELATIVE "${FOLDER}" "${FOLDER}/*.*")
set(source "/* Made of the folder web/ by cmake/hd_page.cmake. */\n#include \"serve/page.h\"\n\n")
set(rows "")
set(i 0)
foreach(name ${names})
  string(REGEX REPLACE "^.*\\." "" extension "${name}")
  if(NOT DEFINED type_${extension})
    message(FATAL_ERROR "hd_page: web/${name}: no content type is known for .${extension}")
  endif()
  file(READ "${FOLDER}/${name}" bytes HEX)
  file(SHA256 "${FOLDER}/${name}" tag)
  string(SUBSTRING "${tag}" 0 32 tag)
  string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND source "static const unsigned char file_${i}[] = {\n${bytes}\n};\n\n")
  set(path "/page/${name}")
  if(name STREQUAL "index.html")
    set(path "/")
  endif()
  string(APPEND rows "    {\"${path}\", \"${type_${extension}}\", \"${tag}\", file_${i}, sizeof file_${i}},\n")
  math(EXPR i "${i} + 1")
endforeach()
string(APPEND source "const hd_page_file hd__page_files[] = {\n${rows}};\n\nconst size_t hd__n_page_files = ${i};\n")
file(WRITE "${OUTPUT}" "${source}")
