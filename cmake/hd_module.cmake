# hd_module(NAME [DEPS module...] [LIBS library...] [EXCLUDE noun...]): one static library for the folder
# src/NAME, without the files <noun>.c.
function(hd_module name)
  cmake_parse_arguments(ARG "" "" "DEPS;LIBS;EXCLUDE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${name}/*.c")
  foreach(noun ${ARG_EXCLUDE})
    list(REMOVE_ITEM sources "${PROJECT_SOURCE_DIR}/src/${name}/${noun}.c")
  endforeach()
  if(NOT sources)
    set(sources "${PROJECT_BINARY_DIR}/empty_${name}.c")
    file(WRITE "${sources}" "typedef int hd_empty_module;\n")
  endif()
  add_library(hd_${name} STATIC ${sources})
  hd_compile_options(hd_${name})
  list(TRANSFORM ARG_DEPS PREPEND hd_)
  target_link_libraries(hd_${name} PUBLIC ${ARG_DEPS} ${ARG_LIBS})
endfunction()

# Warnings, sanitizers and include paths that every target of ours has.
function(hd_compile_options target)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/include")
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wundef -Wstrict-prototypes -Wmissing-prototypes
    -Wimplicit-fallthrough -ffp-contract=off)
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
  if(HD_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(HD_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${HD_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${HD_SANITIZE})
  endif()
endfunction()
