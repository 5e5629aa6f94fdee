import QtQuick
import QtQuick.Dialogs
import Olivine

FileDialog {
    title: qsTr("Add a model")
    nameFilters: [qsTr("Models (*.gguf)"), qsTr("All files (*)")]
    onAccepted: App.add_places([selectedFile])
}
